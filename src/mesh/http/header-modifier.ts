import type { HttpHeaders } from './request.ts'
import type { HttpHeaderModifier } from './route-model.ts'

/**
 * Headers with some set, added and removed. One that is set takes the place of
 * the first of its name, so that order says the same as before; one that is
 * added follows those that are there, as a field of its own (RFC 9110 section
 * 5.3: that is the same as a comma and the value).
 */
export function applyHeaderModifier(
  headers: HttpHeaders,
  { set, add, remove }: HttpHeaderModifier,
): HttpHeaders {
  const removed = new Set(remove)
  const setting = new Map(set.map(({ name, value }) => [name, value]))
  const result: string[] = []
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = headers[index] ?? ''
    if (removed.has(name)) continue
    const value = setting.get(name)
    if (value === undefined) {
      // Set before: this is another one of that name.
      if (!set.some((field) => field.name === name)) result.push(name, headers[index + 1] ?? '')
      continue
    }
    result.push(name, value)
    setting.delete(name)
  }
  for (const [name, value] of setting) result.push(name, value)
  for (const { name, value } of add) result.push(name, value)
  return result
}

/**
 * Whether a header is about the message's framing or this connection alone
 * (RFC 9110 section 7.6.1), which no route may change: a proxy that let it
 * could be made to say where a message ends and be contradicted by its body.
 */
export function isFramingHeader(name: string): boolean {
  return FRAMING_HEADERS.has(name)
}

/** Whether this may be the name of a header field (RFC 9110 section 5.6.2), in lower case. */
export function isFieldName(name: string): boolean {
  return /^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)
}

/** Whether this may be a header field's value, which no line break may end early (RFC 9110 section 5.5). */
export function isFieldValue(value: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(value)
}

const FRAMING_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
