import { z } from 'zod'
import type { HttpPathMatch, HttpRetry, HttpRouteMatch, HttpTimeouts } from '../../mesh/http/route-model.ts'
import type { HttpRouteObject, RouteFilter, RouteRule, WeightedBackend } from './objects-route.ts'
import { namespacedMeta } from './schema-common.ts'
import {
  backendFields,
  checkPattern,
  duration,
  headerMatches,
  listOf,
  MATCH_ALL,
  MAX_MATCHES,
  parentRefs,
  queryMatches,
  toBackend,
  weight,
} from './schema-route-common.ts'
import { httpFilters } from './schema-route-filters.ts'

const PATH_TYPES = ['Exact', 'PathPrefix', 'RegularExpression'] as const
/** Exact paths and prefixes are compared as they are, so that these would never match, or not what is meant. */
const BAD_PATH = /^[^/]|\/\/|\/\.\.?(\/|$)|%2f|#/i

const pathMatch = z
  .strictObject({
    type: z.enum(PATH_TYPES, { error: `expected ${PATH_TYPES.join(', ')}` }).nullish(),
    value: z.string().max(1024).nullish(),
  })
  .transform((given, context): HttpPathMatch => {
    const value = given.value ?? '/'
    if (given.type === 'RegularExpression') {
      checkPattern(value, context)
      return { kind: 'regex', value }
    }
    if (BAD_PATH.test(value) || !/^[\x21-\x7e]+$/.test(value)) {
      const message = `expected a path that begins with "/", without "//", "/.", "/..", "%2f", "#" and spaces, got "${value}"`
      context.addIssue({ code: 'custom', path: ['value'], message })
    }
    return { kind: given.type === 'Exact' ? 'exact' : 'prefix', value }
  })

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'] as const

const match = z
  .strictObject({
    path: pathMatch.nullish(),
    headers: headerMatches,
    queryParams: queryMatches,
    method: z.enum(METHODS, { error: `expected ${METHODS.join(', ')}` }).nullish(),
  })
  .transform(
    ({ path, headers, queryParams, method }): HttpRouteMatch => ({
      path: path ?? MATCH_ALL.path,
      headers,
      query: queryParams,
      method: method ?? undefined,
    }),
  )

const timeouts = z
  .strictObject({ request: duration.nullish(), backendRequest: duration.nullish() })
  .refine(({ request, backendRequest }) => !request || (backendRequest ?? 0) <= request, {
    path: ['backendRequest'],
    error: 'expected no more than the request timeout, which it is a part of',
  })
  .nullish()
  // Zero means none.
  .transform(
    (given): HttpTimeouts => ({
      requestMs: given?.request || undefined,
      backendRequestMs: given?.backendRequest || undefined,
    }),
  )

const retry = z
  .strictObject({
    codes: listOf(z.int({ error: 'expected a status from 400 to 599' }).min(400).max(599), 200),
    attempts: z.int().min(1, { error: 'expected at least 1' }).max(100).nullish(),
    backoff: duration.nullish(),
  })
  .nullish()
  .transform((given): HttpRetry | undefined => {
    if (!given) return undefined
    const { codes, attempts, backoff } = given
    return { codes, attempts: attempts ?? DEFAULT_ATTEMPTS, backoffMs: backoff || undefined }
  })

/** Istio's, of a route that says nothing. Tries after the first. */
const DEFAULT_ATTEMPTS = 2

const backend = z
  .strictObject({ ...backendFields, weight, filters: httpFilters })
  .transform(
    (raw): WeightedBackend => ({ reference: toBackend(raw), weight: raw.weight, filters: raw.filters }),
  )

const rule = z
  .strictObject({
    name: z.string().nullish(),
    matches: listOf(match, 64),
    filters: httpFilters,
    backendRefs: listOf(backend, 16),
    timeouts,
    retry,
    sessionPersistence: z.unknown().optional(),
  })
  .superRefine(({ matches, filters, backendRefs }, context) => {
    if (filters.some(({ kind }) => kind === 'RequestRedirect') && backendRefs.length > 0) {
      const message = 'expected none beside RequestRedirect: no request would reach them'
      context.addIssue({ code: 'custom', path: ['backendRefs'], message })
    }
    const all = [...filters, ...backendRefs.flatMap((ref) => ref.filters)]
    if (!all.some(replacesPrefix) || matches.every(({ path }) => path.kind === 'prefix')) return
    const message = 'ReplacePrefixMatch needs path matches of type PathPrefix'
    context.addIssue({ code: 'custom', path: ['matches'], message })
  })
  .transform(
    ({ name, matches, backendRefs, sessionPersistence, ...rest }): RouteRule => ({
      ...rest,
      name: name ?? undefined,
      matches: matches.length === 0 ? [MATCH_ALL] : matches,
      backends: backendRefs,
      sessionPersistence: (sessionPersistence ?? undefined) !== undefined,
    }),
  )

export const hostnames = listOf(
  z.string().regex(/^(\*\.)?[a-zA-Z0-9]([-a-zA-Z0-9.]{0,251}[a-zA-Z0-9])?$/, {
    error: 'expected a hostname, with "*." in front or without',
  }),
  16,
).transform((names) => names.map((name) => name.toLowerCase()))

/** Refuses more matches than the Gateway API allows. */
export function checkMatches(rules: readonly RouteRule[], context: z.RefinementCtx): void {
  const count = rules.reduce((sum, { matches }) => sum + matches.length, 0)
  if (count > MAX_MATCHES) {
    context.addIssue({
      code: 'custom',
      message: `expected at most ${MAX_MATCHES} matches in all, got ${count}`,
    })
  }
}

/** `gateway.networking.k8s.io` HTTPRoute. */
export const httpRouteSchema = z
  .object({
    metadata: namespacedMeta,
    spec: z.strictObject(
      {
        parentRefs,
        hostnames,
        rules: listOf(rule, 64).superRefine(checkMatches),
        useDefaultGateways: z.unknown().optional(),
      },
      { error: 'expected a route spec' },
    ),
  })
  .transform(
    ({ metadata, spec }): HttpRouteObject<'HTTPRoute'> => ({
      kind: 'HTTPRoute',
      metadata,
      spec: { parentRefs: spec.parentRefs, hostnames: spec.hostnames, rules: withDefault(spec.rules) },
    }),
  )

/** A route without rules has one that matches all and has no backend. */
function withDefault(rules: readonly RouteRule[]): readonly RouteRule[] {
  if (rules.length > 0) return rules
  const none = { requestMs: undefined, backendRequestMs: undefined }
  const rest = { timeouts: none, retry: undefined, sessionPersistence: false }
  return [{ name: undefined, matches: [MATCH_ALL], filters: [], backends: [], ...rest }]
}

function replacesPrefix(filter: RouteFilter): boolean {
  return (filter.kind === 'RequestRedirect' || filter.kind === 'URLRewrite') && filter.path?.kind === 'prefix'
}
