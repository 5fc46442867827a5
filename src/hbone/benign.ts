import { constants } from 'node:http2'
import type { Duplex } from 'node:stream'
import { errorCode } from './errors.ts'
import { isHttp2Stream } from './http2-stream.ts'

/**
 * Whether an error only says that the other end is gone. Then the connection
 * ends as if it had been closed: the peer sees FIN or END_STREAM, the access
 * log no error. Everything else (`ETIMEDOUT`, RST_STREAM(INTERNAL_ERROR), …)
 * also ends it, but is reported.
 */
export function isBenign(stream: Duplex, error: Error): boolean {
  const code = errorCode(error)
  if (code === undefined) return false
  // The code of a reset is on the stream: the error has it only as text.
  if (code === 'ERR_HTTP2_STREAM_ERROR') return isHttp2Stream(stream) && BENIGN_RESETS.has(stream.rstCode)
  return BENIGN_CODES.has(code)
}

const BENIGN_CODES: ReadonlySet<string> = new Set([
  // The peer of a TCP connection, or of the connection that carries the tunnel, is gone.
  'ECONNRESET',
  'EPIPE',
  'ENOTCONN',
  // OpenSSL: the connection ended without close_notify.
  'ERR_SSL_UNEXPECTED_EOF_WHILE_READING',
  // A write that was under way when the other half of the same stream died.
  'ECANCELED',
  'ERR_STREAM_DESTROYED',
  'ERR_STREAM_WRITE_AFTER_END',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ERR_HTTP2_INVALID_STREAM',
  // The session was closed, without an error of its own.
  'ERR_HTTP2_STREAM_CANCEL',
])

const BENIGN_RESETS: ReadonlySet<number | undefined> = new Set([
  constants.NGHTTP2_NO_ERROR,
  constants.NGHTTP2_CANCEL,
  constants.NGHTTP2_STREAM_CLOSED,
])
