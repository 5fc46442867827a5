import { z } from 'zod'
import { compilePattern } from '../../mesh/http/pattern.ts'
import type { HttpRouteMatch, HttpValueMatch } from '../../mesh/http/route-model.ts'
import type { BackendReference, ParentReference } from './objects-route.ts'
import { dnsLabel, dnsSubdomain, portNumber } from './schema-common.ts'

// Unknown fields are refused throughout: a match with a mistyped field would
// take requests that it was not meant for.

/** A list that may be left out, or null. */
export function listOf<T extends z.ZodType>(item: T, max: number) {
  return z
    .array(item)
    .max(max, { error: `expected at most ${max} entries` })
    .nullish()
    .transform((list) => list ?? [])
}

const GATEWAY_GROUP = 'gateway.networking.k8s.io'

export const parentRefs = listOf(
  z
    .strictObject({
      group: z.string().nullish(),
      kind: z.string().nullish(),
      name: dnsSubdomain,
      namespace: dnsLabel.nullish(),
      sectionName: z.string().nullish(),
      port: portNumber.nullish(),
    })
    .transform(
      ({ group, kind, name, namespace, sectionName, port }): ParentReference => ({
        group: group ?? GATEWAY_GROUP,
        kind: kind ?? 'Gateway',
        name,
        namespace: namespace ?? undefined,
        sectionName: sectionName ?? undefined,
        port: port ?? undefined,
      }),
    ),
  32,
)

/** The fields that say what a backend is. */
export const backendFields = {
  group: z.string().nullish(),
  kind: z.string().nullish(),
  // A wildcard host is one of a ServiceEntry.
  name: z.string().min(1, { error: 'expected a name' }).max(253),
  namespace: dnsLabel.nullish(),
  port: portNumber.nullish(),
}

interface RawBackend {
  group?: string | null | undefined
  kind?: string | null | undefined
  name: string
  namespace?: string | null | undefined
  port?: number | null | undefined
}

export function toBackend({ group, kind, name, namespace, port }: RawBackend): BackendReference {
  const reference = { group: group ?? '', kind: kind ?? 'Service', name }
  return { ...reference, namespace: namespace ?? undefined, port: port ?? undefined }
}

/** Default 1. */
export const weight = z
  .int({ error: 'expected a weight from 0 to 1000000' })
  .min(0, { error: 'expected a weight from 0 to 1000000' })
  .max(1_000_000, { error: 'expected a weight from 0 to 1000000' })
  .nullish()
  .transform((given) => given ?? 1)

/** Gateway API durations (GEP-2257), as milliseconds: `1h30m`, `500ms`. */
export const duration = z
  .string({ error: 'expected a duration such as 10s or 500ms' })
  .regex(/^([0-9]{1,5}(h|m|s|ms)){1,4}$/, { error: 'expected a duration such as 10s or 500ms' })
  .transform((text) => {
    let total = 0
    for (const [, amount, unit] of text.matchAll(/([0-9]+)(ms|h|m|s)/g)) {
      total += Number(amount) * (UNITS.get(unit ?? '') ?? 0)
    }
    return total
  })

const UNITS: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
])

/** A regular expression that is RE2 and not too large. */
export function checkPattern(
  source: string,
  context: z.RefinementCtx,
  path: PropertyKey[] = ['value'],
): void {
  try {
    compilePattern(source)
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    context.addIssue({ code: 'custom', path, message })
  }
}

/** What a header's or a query parameter's match is called. */
export const fieldName = z.string().regex(/^[A-Za-z0-9!#$%&'*+\-.^_|~`]+$/, {
  error: 'expected the name of a header or parameter',
})

const valueMatch = z
  .strictObject({
    type: z.enum(['Exact', 'RegularExpression'], { error: 'expected Exact or RegularExpression' }).nullish(),
    name: fieldName,
    value: z.string({ error: 'expected text: put quotes around it' }).min(1).max(4096),
  })
  .transform(({ type, name, value }, context): HttpValueMatch => {
    if (type !== 'RegularExpression') return { kind: 'exact', name, value }
    checkPattern(value, context)
    return { kind: 'regex', name, value }
  })

/** Names in lower case; of those that say the same, the first counts, as the Gateway API has it. */
export const headerMatches = listOf(valueMatch, 16).transform((matches) =>
  firstOfEach(matches.map((match) => ({ ...match, name: match.name.toLowerCase() }))),
)

export const queryMatches = listOf(valueMatch, 16).transform(firstOfEach)

/** The match of every request. */
export const MATCH_ALL: HttpRouteMatch = {
  path: { kind: 'prefix', value: '/' },
  headers: [],
  query: [],
  method: undefined,
}

/** Together, as the Gateway API bounds them. */
export const MAX_MATCHES = 128

function firstOfEach(matches: readonly HttpValueMatch[]): readonly HttpValueMatch[] {
  return matches.filter((match, index) => matches.findIndex(({ name }) => name === match.name) === index)
}
