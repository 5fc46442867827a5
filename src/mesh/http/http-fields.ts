import type { Cidr } from '../addresses.ts'
import { blocks } from '../match-values.ts'
import type { StringMatch } from '../model.ts'
import { stringMatchText } from '../policy-tree.ts'
import { type PathTemplate, parsePathTemplate } from './path-template.ts'
import type { HttpPolicyMatch, PathMatch, WaypointPolicy } from './policy-model.ts'

/** A template read once, with its text. */
export type CompiledPath =
  | StringMatch
  | { readonly kind: 'template'; readonly value: string; readonly template: PathTemplate }

/** One list of a match, not empty, that node proxies do not have. */
export type HttpField = {
  /** The match's own name for it: `paths`, `notPaths`, `request.headers[x]`, … */
  readonly name: string
  /** A `not…` list: holds when nothing in it hits. */
  readonly negative: boolean
  /** Whether the request is refused, as far as this list goes, when one of the values hits. */
  readonly refuses: boolean
  /** The values as an AuthorizationPolicy writes them. */
  readonly expected: readonly string[]
} & (ConnectionField | RequestField)

/** Known of every connection. */
export type ConnectionField =
  | { readonly kind: 'remoteIp'; readonly values: readonly Cidr[] }
  | { readonly kind: 'trustDomain' | 'serverName'; readonly values: readonly StringMatch[] }

/** Known of HTTP requests only; `unsupported` of none. */
export type RequestField =
  | { readonly kind: 'host' | 'method'; readonly values: readonly StringMatch[] }
  | { readonly kind: 'path'; readonly values: readonly CompiledPath[] }
  | { readonly kind: 'header'; readonly header: string; readonly values: readonly StringMatch[] }
  | { readonly kind: 'unsupported' }

/** Throws `SyntaxError` for a path template that is none. */
export function compileHttpFields(
  match: HttpPolicyMatch,
  action: WaypointPolicy['action'],
): readonly HttpField[] {
  const { trustDomains, notTrustDomains, serverNames, notServerNames, headers } = match
  const fields = [
    lists('trustDomains', trustDomains, notTrustDomains, stringMatchText, 'trustDomain'),
    lists('remoteIps', blocks(match.remoteIps), blocks(match.notRemoteIps), ({ text }) => text, 'remoteIp'),
    lists('serverNames', serverNames, notServerNames, stringMatchText, 'serverName'),
    lists('hosts', match.hosts.map(inLowerCase), match.notHosts.map(inLowerCase), stringMatchText, 'host'),
    lists('methods', match.methods, match.notMethods, stringMatchText, 'method'),
    lists('paths', match.paths.map(compilePath), match.notPaths.map(compilePath), pathText, 'path'),
    headers.flatMap(({ name, values, notValues }) =>
      lists(`request.headers[${name}]`, values, notValues, stringMatchText, 'header').map((field) => ({
        ...field,
        header: name,
      })),
    ),
    match.unsupported.map((name) => ({
      ...{ name, negative: false, expected: [], kind: 'unsupported' as const },
    })),
  ].flat()
  return fields.map((field) => ({ ...field, refuses: (action === 'DENY') !== field.negative }))
}

/** Whether a field is of the request: nothing can be said of it for a connection that carries another protocol. */
export function isRequestField(kind: HttpField['kind']): boolean {
  return kind !== 'remoteIp' && kind !== 'trustDomain' && kind !== 'serverName'
}

/** The positive and the negative list of a name, without those that are empty. */
function lists<T, K extends HttpField['kind']>(
  name: string,
  positive: readonly T[],
  negative: readonly T[],
  text: (value: T) => string,
  kind: K,
) {
  const list = (values: readonly T[], isNegative: boolean) => ({
    name: isNegative ? negated(name) : name,
    negative: isNegative,
    expected: values.map(text),
    kind,
    values,
  })
  return [list(positive, false), list(negative, true)].filter(({ values }) => values.length > 0)
}

function negated(name: string): string {
  return `not${name.slice(0, 1).toUpperCase()}${name.slice(1)}`
}

function inLowerCase(match: StringMatch): StringMatch {
  return match.kind === 'presence' ? match : { ...match, value: match.value.toLowerCase() }
}

function compilePath(path: PathMatch): CompiledPath {
  return path.kind === 'template' ? { ...path, template: parsePathTemplate(path.value) } : path
}

function pathText(path: CompiledPath): string {
  return path.kind === 'template' ? path.value : stringMatchText(path)
}
