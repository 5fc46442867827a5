import type { HttpProtocol } from './exchange.ts'

/** What the first bytes of a connection are. */
export type Sniffed = HttpProtocol | 'other' | 'need-more'

/**
 * A request line that is not over by then is no HTTP: unknown methods are
 * looked at up to the line's end, known ones not that far.
 */
export const SNIFF_BYTES = 1024

/**
 * Tells HTTP/2 with prior knowledge (RFC 9113 section 3.4), HTTP/1.x and
 * anything else apart. `need-more` only as long as the bytes may still become
 * either; a server-first protocol must not be kept waiting for it.
 */
export function sniffProtocol(bytes: Uint8Array): Sniffed {
  const common = commonLength(bytes, PREFACE)
  if (common === PREFACE.length) return 'http2'
  if (common === bytes.length) return 'need-more'
  const method = readMethod(bytes)
  if (method === 'need-more' || method === 'other') return method
  if (KNOWN_METHODS.has(method)) return knownMethod(bytes, method)
  return requestLine(bytes)
}

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
/** The longest registered method is UPDATEREDIRECTREF. */
const MAX_METHOD_CHARS = 24
/** Of RFC 9110 and RFC 5789. */
const KNOWN_METHODS = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
  'PATCH',
])
const SPACE = 0x20
const LINE_FEED = 0x0a
const REQUEST_LINE = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+ [^ \r\n]+ HTTP\/1\.\d\r?\n/

/** How many bytes both begin with. */
function commonLength(bytes: Uint8Array, whole: Uint8Array): number {
  const length = Math.min(bytes.length, whole.length)
  for (let index = 0; index < length; index++) if (bytes[index] !== whole[index]) return index
  return length
}

/** The word before the first space. */
function readMethod(bytes: Uint8Array): string {
  const end = bytes.indexOf(SPACE)
  const word = latin1(bytes.subarray(0, end < 0 ? MAX_METHOD_CHARS + 1 : end))
  if (word.length > MAX_METHOD_CHARS || !/^[A-Z][A-Z-]*$/.test(word))
    return word === '' && end < 0 ? 'need-more' : 'other'
  return end < 0 ? 'need-more' : word
}

/** A known method and the beginning of a target will do, so that what follows gets a proper answer however wrong. */
function knownMethod(bytes: Uint8Array, method: string): Sniffed {
  const next = bytes[method.length + 1]
  if (next === undefined) return 'need-more'
  return next > SPACE && next < 0x7f ? 'http1' : 'other'
}

function requestLine(bytes: Uint8Array): Sniffed {
  const end = bytes.indexOf(LINE_FEED)
  if (end < 0) return bytes.length < SNIFF_BYTES ? 'need-more' : 'other'
  return REQUEST_LINE.test(latin1(bytes.subarray(0, end + 1))) ? 'http1' : 'other'
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}
