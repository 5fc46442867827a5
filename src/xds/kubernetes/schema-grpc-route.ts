import { z } from 'zod'
import { quotePattern } from '../../mesh/http/pattern.ts'
import type { HttpRouteMatch } from '../../mesh/http/route-model.ts'
import type { HttpRouteObject, RouteRule, WeightedBackend } from './objects-route.ts'
import { namespacedMeta } from './schema-common.ts'
import { checkMatches, hostnames } from './schema-http-route.ts'
import {
  backendFields,
  checkPattern,
  headerMatches,
  listOf,
  MATCH_ALL,
  parentRefs,
  toBackend,
  weight,
} from './schema-route-common.ts'
import { grpcFilters } from './schema-route-filters.ts'

/** Path and rank of a call, by which the rules of a GRPCRoute are matched and ordered. */
type CallMatch = Pick<HttpRouteMatch, 'path' | 'grpc'>

const ANY_CALL: CallMatch = { path: MATCH_ALL.path, grpc: { service: 0, method: 0 } }

const methodMatch = z
  .strictObject({
    type: z.enum(['Exact', 'RegularExpression'], { error: 'expected Exact or RegularExpression' }).nullish(),
    service: z.string().max(1024).nullish(),
    method: z.string().max(1024).nullish(),
  })
  .transform((given, context): CallMatch => {
    const { service, method } = { service: given.service || undefined, method: given.method || undefined }
    if (service === undefined && method === undefined) {
      context.addIssue({ code: 'custom', message: 'expected a service, a method, or both' })
      return z.NEVER
    }
    const grpc = { service: service?.length ?? 0, method: method?.length ?? 0 }
    if (given.type === 'RegularExpression') {
      const value = `/${group(service)}/${group(method)}`
      checkPattern(value, context, [service === undefined ? 'method' : 'service'])
      return { path: { kind: 'regex', value }, grpc }
    }
    if (!isName(service, /^\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$/i)) {
      context.addIssue({ code: 'custom', path: ['service'], message: 'expected a name such as foo.v1.Echo' })
    }
    if (!isName(method, /^[A-Za-z_][A-Za-z_0-9]*$/)) {
      context.addIssue({ code: 'custom', path: ['method'], message: 'expected a name such as Say' })
    }
    return { path: exactPath(service, method), grpc }
  })

const match = z.strictObject({ method: methodMatch.nullish(), headers: headerMatches }).transform(
  ({ method, headers }): HttpRouteMatch => ({
    headers,
    query: [],
    method: undefined,
    ...(method ?? ANY_CALL),
  }),
)

const backend = z
  .strictObject({ ...backendFields, weight, filters: grpcFilters })
  .transform(
    (raw): WeightedBackend => ({ reference: toBackend(raw), weight: raw.weight, filters: raw.filters }),
  )

const rule = z
  .strictObject({
    name: z.string().nullish(),
    matches: listOf(match, 64),
    filters: grpcFilters,
    backendRefs: listOf(backend, 16),
    sessionPersistence: z.unknown().optional(),
  })
  .transform(
    ({ name, matches, filters, backendRefs, sessionPersistence }): RouteRule => ({
      name: name ?? undefined,
      matches: matches.length === 0 ? [{ ...MATCH_ALL, ...ANY_CALL }] : matches,
      filters,
      backends: backendRefs,
      timeouts: { requestMs: undefined, backendRequestMs: undefined },
      retry: undefined,
      sessionPersistence: (sessionPersistence ?? undefined) !== undefined,
    }),
  )

/** `gateway.networking.k8s.io` GRPCRoute: a call is a POST to `/service/method`. */
export const grpcRouteSchema = z
  .object({
    metadata: namespacedMeta,
    spec: z.strictObject(
      {
        parentRefs,
        hostnames,
        rules: listOf(rule, 16).superRefine(checkMatches),
        useDefaultGateways: z.unknown().optional(),
      },
      { error: 'expected a route spec' },
    ),
  })
  .transform(
    ({ metadata, spec: { parentRefs, hostnames, rules } }): HttpRouteObject<'GRPCRoute'> => ({
      kind: 'GRPCRoute',
      metadata,
      spec: { parentRefs, hostnames, rules },
    }),
  )

function exactPath(service: string | undefined, method: string | undefined): HttpRouteMatch['path'] {
  if (service === undefined) return { kind: 'regex', value: `/[^/]+/${quotePattern(method ?? '')}` }
  if (method === undefined) return { kind: 'prefix', value: `/${service}` }
  return { kind: 'exact', value: `/${service}/${method}` }
}

/** An expression of its own, so that an alternative ends with it. */
function group(source: string | undefined): string {
  return source === undefined ? '[^/]+' : `(?:${source})`
}

function isName(text: string | undefined, pattern: RegExp): boolean {
  return text === undefined || pattern.test(text)
}
