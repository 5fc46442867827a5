import { type AddressWords, parseAddress } from '../addresses.ts'
import { type PolicySubject, policySubject } from '../compiled-policy.ts'
import { hitsAddress, matchesText } from '../match-values.ts'
import type { StringMatch } from '../model.ts'
import type { PolicyContext } from '../verdict.ts'
import { type CompiledPath, type HttpField, isRequestField } from './http-fields.ts'
import { matchesPathTemplate } from './path-template.ts'
import type { HttpRequestHead } from './request.ts'
import { type Forms, headerForms, hostForms, methodForms, pathForms } from './request-forms.ts'

/**
 * What a waypoint's policies can see of a connection: the identity of the
 * client, whatever was between, and as destination what the client addressed:
 * the service's address and port, or the pod's.
 */
export interface WaypointPolicyContext extends PolicyContext {
  /** The client's address as a trusted gateway before the mesh told it. Default: the source address. */
  readonly remoteAddress?: string | undefined
  /** Of the client's own TLS, if that was looked at. Default: the empty text. */
  readonly serverName?: string | undefined
}

/** A request, or a connection of another protocol, as policies compare it: made once, whatever their number. */
export class HttpSubject {
  readonly connection: PolicySubject
  readonly remoteAddress: string
  readonly serverName: string
  /** Undefined for a connection that carries no HTTP, or no HTTP that is looked at. */
  readonly head: HttpRequestHead | undefined
  readonly #remote: AddressWords | undefined
  #paths: Forms | undefined
  #hosts: Forms | undefined
  #methods: Forms | undefined

  constructor(context: WaypointPolicyContext, head: HttpRequestHead | undefined) {
    this.connection = policySubject(context)
    this.remoteAddress = context.remoteAddress ?? context.sourceAddress
    this.serverName = context.serverName ?? ''
    this.head = head
    this.#remote = parseAddress(this.remoteAddress)
  }

  /** Whether one list of a match is satisfied. */
  holds(field: HttpField): boolean {
    // Istio: of what cannot be told, an ALLOW takes nothing for granted, and a DENY is the wider for it.
    if (isRequestField(field.kind) && !this.#canTell(field)) return field.refuses !== field.negative
    return this.#hits(field) !== field.negative
  }

  /** What the field's values are compared with, as far as there is such a thing. */
  texts(field: HttpField): Forms {
    const { head, connection } = this
    switch (field.kind) {
      case 'remoteIp':
        return [this.remoteAddress]
      case 'trustDomain':
        return [connection.context.sourceIdentity?.trustDomain ?? '']
      case 'serverName':
        return [this.serverName]
      case 'host':
        this.#hosts ??= hostForms(head?.authority ?? '')
        return this.#hosts
      case 'method':
        this.#methods ??= head === undefined ? [] : methodForms(head.method)
        return this.#methods
      case 'path':
        this.#paths ??= head === undefined ? [] : pathForms(head.path)
        return this.#paths
      case 'header':
        return head === undefined ? [] : headerForms(head, field.header)
      case 'unsupported':
        return []
    }
  }

  /** A request without an authority, or with a path that cannot be normalized, could be for anything. */
  #canTell(field: HttpField): boolean {
    if (this.head === undefined || field.kind === 'unsupported') return false
    return (field.kind !== 'path' && field.kind !== 'host') || this.texts(field).length > 0
  }

  #hits(field: HttpField): boolean {
    switch (field.kind) {
      case 'remoteIp':
        return hitsAddress(field.values, this.#remote)
      case 'trustDomain':
      case 'serverName':
        return field.values.some((value) => this.texts(field).some((text) => matchesText(value, text)))
      case 'host':
        // Istio's own comparison lets in: who allows `a.example:8080` does not mean every port of it.
        return hitsForms(
          field,
          field.values,
          field.refuses ? this.texts(field) : this.texts(field).slice(0, 1),
        )
      case 'method':
      case 'path':
      case 'header':
        return hitsForms<StringMatch | CompiledPath>(field, field.values, this.texts(field))
      case 'unsupported':
        return false
    }
  }
}

/** Any form where a hit refuses, all of them where it lets in. Plain loops: this is most of what a request costs here. */
function hitsForms<V extends StringMatch | CompiledPath>(
  { refuses }: HttpField,
  values: readonly V[],
  forms: Forms,
): boolean {
  for (const form of forms) if (hitsForm(values, form) === refuses) return refuses
  return !refuses && forms.length > 0
}

function hitsForm(values: readonly (StringMatch | CompiledPath)[], form: string): boolean {
  for (const value of values) if (matchesForm(value, form)) return true
  return false
}

/** Presence is being there at all: a header may be empty. */
function matchesForm(value: StringMatch | CompiledPath, text: string): boolean {
  if (value.kind === 'presence') return true
  return value.kind === 'template' ? matchesPathTemplate(value.template, text) : matchesText(value, text)
}
