import { errorCode } from './errors.ts'
import { Http2Error } from './h2/errors.ts'
import { CALM_RESETS } from './h2/stream.ts'

/**
 * Whether an error only says that the other end is gone. Then the connection
 * ends as if it had been closed: the peer sees FIN or END_STREAM, the access
 * log no error. Everything else (`ETIMEDOUT`, RST_STREAM(INTERNAL_ERROR), …)
 * also ends it, but is reported.
 */
export function isBenign(error: Error): boolean {
  if (error instanceof Http2Error) {
    return error.code === 'closed' || (error.code === 'reset' && CALM_RESETS.has(error.h2Code))
  }
  return BENIGN_CODES.has(errorCode(error) ?? '')
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
])
