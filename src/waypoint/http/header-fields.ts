import type { HttpHeaders } from '../../mesh/http/request.ts'

/**
 * The fields that go on to the other side (RFC 9110 section 7.6.1): names in
 * lower case, without those that are about one connection, and those that
 * `connection` names. Of `te`, `trailers` stays, as gRPC needs it. Pseudo-headers
 * of HTTP/2 go too, and so does what `drop` has.
 */
export function endToEndFields(raw: readonly string[], drop: ReadonlySet<string> = NONE): string[] {
  const named = connectionNames(raw)
  const kept: string[] = []
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = (raw[index] ?? '').toLowerCase()
    const value = raw[index + 1] ?? ''
    if (name.startsWith(':') || HOP_BY_HOP.has(name) || drop.has(name)) continue
    if (name === 'te') {
      if (asksForTrailers(value)) kept.push('te', 'trailers')
    } else if (!named.has(name)) kept.push(name, value)
  }
  return kept
}

/** What `connection` names, in lower case. */
export function connectionNames(raw: readonly string[]): ReadonlySet<string> {
  let names: Set<string> | undefined
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] ?? ''
    if (name.length !== CONNECTION.length || name.toLowerCase() !== CONNECTION) continue
    names ??= new Set()
    for (const token of (raw[index + 1] ?? '').split(',')) names.add(token.trim().toLowerCase())
  }
  return names ?? NONE
}

/** Trailers without fields that would mean something else after the body than before it (RFC 9110 section 6.5.1). */
export function trailerFields(raw: readonly string[]): HttpHeaders {
  if (raw.length === 0) return raw
  return endToEndFields(raw, NO_TRAILERS)
}

/** As `node:http2` takes trailers and interim answers: repeated fields as lists. */
export function fieldsObject(fields: HttpHeaders): Record<string, string | string[]> {
  const object: Record<string, string | string[]> = Object.create(null)
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = fields[index] ?? ''
    const value = fields[index + 1] ?? ''
    const before = object[name]
    if (before === undefined) object[name] = value
    else object[name] = Array.isArray(before) ? [...before, value] : [before, value]
  }
  return object
}

/** As `node:http` takes trailers. */
export function fieldPairs(fields: HttpHeaders): [string, string][] {
  const pairs: [string, string][] = []
  for (let index = 0; index + 1 < fields.length; index += 2) {
    pairs.push([fields[index] ?? '', fields[index + 1] ?? ''])
  }
  return pairs
}

/** Without the named fields; the same list if it has none of them. */
export function withoutFields(fields: HttpHeaders, names: ReadonlySet<string>): HttpHeaders {
  let found = false
  for (let index = 0; index < fields.length; index += 2) found ||= names.has(fields[index] ?? '')
  if (!found) return fields
  return fields.filter((_, index) => !names.has(fields[index - (index % 2)] ?? ''))
}

const CONNECTION = 'connection'
const NONE: ReadonlySet<string> = new Set()

/**
 * RFC 9110 section 7.6.1, and `http2-settings`, which goes with `upgrade: h2c`
 * and would let a client talk past us.
 */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  CONNECTION,
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
])

const NO_TRAILERS: ReadonlySet<string> = new Set([
  'authorization',
  'cache-control',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'expect',
  'host',
  'max-forwards',
  'proxy-authorization',
  'range',
  'set-cookie',
  'te',
  'trailer',
])

function asksForTrailers(te: string): boolean {
  return te.split(',').some((coding) => coding.trim().toLowerCase() === 'trailers')
}
