import type { HttpFilter, HttpRouteRule, Route, TcpRouteRule } from '../../mesh/http/route-model.ts'
import type { RouteFilter, RouteObject, RouteRule, WeightedBackend } from './objects-route.ts'
import { backendOf } from './route-backends.ts'
import { parentsOf } from './route-parents.ts'
import type { TranslateContext } from './translate-context.ts'

/** All routes that have effect, as waypoints follow them. What is not as its author may think is warned of. */
export function translateRoutes(context: TranslateContext): readonly Route[] {
  const { httpRoutes, grpcRoutes, tcpRoutes } = context.objects
  const all: readonly RouteObject[] = [...httpRoutes.values(), ...grpcRoutes.values(), ...tcpRoutes.values()]
  return all.map((route) => translateRoute(route, context)).filter((route) => route !== undefined)
}

/** Undefined for a route that is attached to nothing. */
function translateRoute(route: RouteObject, context: TranslateContext): Route | undefined {
  const parents = parentsOf(route, context)
  if (parents.length === 0) return undefined
  const { name, namespace, creationTimestamp } = route.metadata
  const base = { name, namespace, creationTimestamp, parents }
  const translation: Translation = {
    targetOf: (reference, field) => {
      const target = backendOf(reference, route, parents, context)
      if (target.kind === 'invalid') context.warn(route, field, `${target.reason}: its requests fail`)
      return target
    },
    warn: (field, message) => context.warn(route, field, message),
  }
  if (route.kind === 'TCPRoute') {
    if (route.spec.rules.length > 1) {
      translation.warn('spec.rules[1]', 'has no effect: nothing tells which connections it is for')
    }
    const rules = route.spec.rules.map((rule, index) => tcpRule(rule, `spec.rules[${index}]`, translation))
    return { kind: route.kind, ...base, rules }
  }
  const { hostnames } = route.spec
  if (hostnames.length > 0 && parents.some(({ kind }) => kind === 'service')) {
    const message = 'ignored for a Service (GEP-1426): match the header host instead'
    translation.warn('spec.hostnames', message)
  }
  if (route.kind === 'HTTPRoute') warnOfUnreached(route.spec.rules, translation)
  const rules = route.spec.rules.map((rule, index) => httpRule(rule, `spec.rules[${index}]`, translation))
  return { kind: route.kind, ...base, hostnames, rules }
}

/** An expression comes after every prefix, as in Istio: beside one that takes all, it takes nothing. */
function warnOfUnreached(rules: readonly RouteRule[], { warn }: Translation): void {
  const takesAll = ({ path, headers, query, method }: RouteRule['matches'][number]) =>
    path.kind === 'prefix' &&
    path.value === '/' &&
    headers.length + query.length === 0 &&
    method === undefined
  const all = rules.findIndex(({ matches }) => matches.some(takesAll))
  if (all === -1) return
  for (const [index, { matches }] of rules.entries()) {
    for (const [at, { path }] of matches.entries()) {
      if (path.kind !== 'regex') continue
      const message = `never reached: spec.rules[${all}] takes every path, and a prefix comes before an expression`
      warn(`spec.rules[${index}].matches[${at}].path`, message)
    }
  }
}

interface Translation {
  targetOf(
    reference: WeightedBackend['reference'],
    field: string,
  ): HttpRouteRule['backends'][number]['target']
  warn(field: string, message: string): void
}

function tcpRule(
  { name, backends }: Pick<RouteRule, 'name' | 'backends'>,
  field: string,
  { targetOf }: Translation,
): TcpRouteRule {
  return {
    name,
    backends: backends.map(({ reference, weight }, index) => ({
      target: targetOf(reference, `${field}.backendRefs[${index}]`),
      weight,
    })),
  }
}

function httpRule(rule: RouteRule, field: string, translation: Translation): HttpRouteRule {
  const { name, matches, timeouts, retry } = rule
  if (rule.sessionPersistence) {
    translation.warn(`${field}.sessionPersistence`, 'not supported here: requests go to any endpoint')
  }
  const filters = filtersOf(rule.filters, field, translation)
  const isRedirected = filters.some(({ kind }) => kind === 'RequestRedirect' || kind === 'Unsupported')
  if (rule.backends.every(({ weight }) => weight === 0) && !isRedirected) {
    translation.warn(`${field}.backendRefs`, 'none of any weight: requests are answered by 500')
  }
  return {
    name,
    matches,
    filters,
    backends: rule.backends.map(({ reference, weight, filters: own }, index) => {
      const at = `${field}.backendRefs[${index}]`
      return { target: translation.targetOf(reference, at), weight, filters: filtersOf(own, at, translation) }
    }),
    timeouts,
    retry,
  }
}

function filtersOf(
  filters: readonly RouteFilter[],
  field: string,
  translation: Translation,
): readonly HttpFilter[] {
  return filters.map((filter, index): HttpFilter => {
    const at = `${field}.filters[${index}]`
    if (filter.kind === 'Unsupported') translation.warn(at, `${filter.reason}: requests are answered by 500`)
    if (filter.kind !== 'RequestMirror') return filter
    const { kind, reference, numerator, denominator } = filter
    return {
      kind,
      backend: translation.targetOf(reference, `${at}.requestMirror.backendRef`),
      numerator,
      denominator,
    }
  })
}
