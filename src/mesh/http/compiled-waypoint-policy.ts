import { compileMatch, type MatchField } from '../compiled-policy.ts'
import { compileHttpFields, type HttpField, isRequestField } from './http-fields.ts'
import type { HttpPolicyMatch, PolicyTarget, WaypointPolicy } from './policy-model.ts'

/** One list of a match that is not empty: one that node proxies have as well, or one that they do not. */
export type WaypointField =
  | { readonly layer: 4; readonly field: MatchField }
  | { readonly layer: 7; readonly field: HttpField }

export interface CompiledWaypointRule {
  /** AND over clauses, OR over matches, AND over fields. */
  readonly clauses: readonly (readonly (readonly WaypointField[])[])[]
  /** Whether any of its fields is of an HTTP request. */
  readonly needsRequest: boolean
}

/** A policy with its blocks and templates read, once; an ordinary policy to whoever reads it. */
export class CompiledWaypointPolicy implements WaypointPolicy {
  readonly name: string
  readonly namespace: string
  readonly targets: readonly PolicyTarget[]
  readonly action: WaypointPolicy['action']
  readonly dryRun: boolean
  readonly rules: WaypointPolicy['rules']
  readonly compiled: readonly CompiledWaypointRule[]

  /** Throws `SyntaxError` for a path template that is none. */
  constructor(policy: WaypointPolicy) {
    this.name = policy.name
    this.namespace = policy.namespace
    this.targets = policy.targets
    this.action = policy.action
    this.dryRun = policy.dryRun
    this.rules = policy.rules
    this.compiled = policy.rules.map((clauses) => compileRule(clauses, policy.action))
  }

  /** The policy itself when it is compiled already. */
  static of(policy: WaypointPolicy): CompiledWaypointPolicy {
    return policy instanceof CompiledWaypointPolicy ? policy : new CompiledWaypointPolicy(policy)
  }
}

function compileRule(
  clauses: readonly (readonly HttpPolicyMatch[])[],
  action: WaypointPolicy['action'],
): CompiledWaypointRule {
  const compiled = clauses.map((matches) => matches.map((match) => compileFields(match, action)))
  const needsRequest = compiled
    .flat(2)
    .some(({ layer, field }) => layer === 7 && isRequestField(field.kind as HttpField['kind']))
  return { clauses: compiled, needsRequest }
}

function compileFields(match: HttpPolicyMatch, action: WaypointPolicy['action']): readonly WaypointField[] {
  return [
    ...compileMatch(match).map((field) => ({ layer: 4, field }) as const),
    ...compileHttpFields(match, action).map((field) => ({ layer: 7, field }) as const),
  ]
}
