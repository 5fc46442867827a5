import { STATUS_CODES } from 'node:http'
import type { Refusal } from './check-request.ts'
import { errorCode, errorText } from './errors.ts'

/** The answer for what llhttp could not read. `lineSeen`: the request line was whole. */
export function parserRefusal(error: Error, lineSeen: boolean): Refusal {
  switch (errorCode(error)) {
    case 'HPE_HEADER_OVERFLOW':
      return lineSeen
        ? { status: 431, reason: 'the header is too large' }
        : { status: 414, reason: 'the request line is too long' }
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return { status: 413, reason: 'the chunk extensions are too large' }
    case 'HPE_PAUSED_H2_UPGRADE':
      return { status: 400, reason: 'HTTP/2 on a connection of HTTP/1' }
    default:
      return { status: 400, reason: parserReason(error) }
  }
}

/** A whole answer as bytes, for a connection that is closed after it. */
export function rawRefusal(status: number, reason: string): string {
  const body = `${reason}\n`
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Refused'}`,
    'content-type: text/plain',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    '',
    body,
  ].join('\r\n')
}

/** llhttp's own words, which quote nothing of what the client sent. */
function parserReason(error: Error): string {
  return 'reason' in error && typeof error.reason === 'string' ? error.reason : errorText(error)
}
