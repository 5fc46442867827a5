import { isBelow } from './path-prefix.ts'
import { compilePattern } from './pattern.ts'
import { type HttpRequestHead, headerValue, hostOf, splitPath } from './request.ts'
import {
  type HttpRoute,
  type HttpRouteMatch,
  type HttpRouteRule,
  type HttpValueMatch,
  routeName,
} from './route-model.ts'

/** One way to match a rule: what precedence is between. */
export interface RouteCandidate {
  readonly route: HttpRoute
  readonly rule: HttpRouteRule
  /** From 0. */
  readonly ruleIndex: number
  readonly match: HttpRouteMatch
  /** That the request must be for; undefined for any. */
  readonly hostname: string | undefined
  /** `HTTPRoute/foo/echo rule 0 (name), match 0: path prefix /a, header x` */
  readonly description: string
  /** In the order in which they are cheap to look at. */
  readonly conditions: readonly Condition[]
}

/** One condition of a match. */
export interface Condition {
  /** What it asks for: `path prefix /a`. */
  readonly description: string
  test(request: RequestView): boolean
}

/** A request's parts, each found when first asked for. */
export class RequestView {
  readonly head: HttpRequestHead
  readonly path: string
  readonly #query: string | undefined
  #parameters: URLSearchParams | undefined

  constructor(head: HttpRequestHead) {
    this.head = head
    const { path, query } = splitPath(head.path)
    this.path = path
    this.#query = query
  }

  get host(): string {
    return hostOf(this.head.authority)
  }

  /** HTTP/2 has the host in `:authority` only. */
  header(name: string): string | undefined {
    return name === 'host' ? this.head.authority : headerValue(this.head.headers, name)
  }

  /** Decoded; the first of several, as the Gateway API recommends. */
  parameter(name: string): string | undefined {
    this.#parameters ??= new URLSearchParams(this.#query)
    return this.#parameters.get(name) ?? undefined
  }
}

/** Throws `SyntaxError` for a regular expression that is none. */
export function candidatesOf(route: HttpRoute, withHostnames: boolean): readonly RouteCandidate[] {
  const hostnames = withHostnames && route.hostnames.length > 0 ? route.hostnames : [undefined]
  return route.rules.flatMap((rule, ruleIndex) =>
    rule.matches.flatMap((match, matchIndex) =>
      hostnames.map((hostname) => {
        const conditions = conditionsOf(match, hostname)
        const name = rule.name === undefined ? '' : ` (${rule.name})`
        const place = `${routeName(route)} rule ${ruleIndex}${name}, match ${matchIndex}`
        const description = `${place}: ${conditions.map(({ description }) => description).join(', ')}`
        return { route, rule, ruleIndex, match, hostname, description, conditions }
      }),
    ),
  )
}

function conditionsOf(match: HttpRouteMatch, hostname: string | undefined): readonly Condition[] {
  const { path, method, headers, query } = match
  return [
    ...(hostname === undefined ? [] : [hostCondition(hostname)]),
    pathCondition(path),
    ...(method === undefined ? [] : [methodCondition(method)]),
    ...headers.map((header) => valueCondition('header', header, (request) => request.header(header.name))),
    ...query.map((parameter) =>
      valueCondition('query', parameter, (request) => request.parameter(parameter.name)),
    ),
  ]
}

function hostCondition(hostname: string): Condition {
  const suffix = hostname.startsWith('*.') ? hostname.slice(1) : undefined
  return {
    description: `hostname ${hostname}`,
    test: ({ host }) =>
      suffix === undefined ? host === hostname : host.length > suffix.length && host.endsWith(suffix),
  }
}

function pathCondition({ kind, value }: HttpRouteMatch['path']): Condition {
  const description = `path ${kind} ${value}`
  if (kind === 'exact') return { description, test: ({ path }) => path === value }
  if (kind === 'prefix') return { description, test: ({ path }) => isBelow(path, value) }
  const pattern = compilePattern(value)
  return { description, test: ({ path }) => pattern.matches(path) }
}

function methodCondition(method: string): Condition {
  return { description: `method ${method}`, test: ({ head }) => head.method === method }
}

function valueCondition(
  what: string,
  { kind, name, value }: HttpValueMatch,
  find: (request: RequestView) => string | undefined,
): Condition {
  const description = `${what} ${name} ${kind} ${value}`
  if (kind === 'exact') return { description, test: (request) => find(request) === value }
  const pattern = compilePattern(value)
  return {
    description,
    test: (request) => {
      const found = find(request)
      return found !== undefined && pattern.matches(found)
    },
  }
}
