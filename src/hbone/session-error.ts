import { errorCode, errorText, HboneError } from './errors.ts'
import { Http2Error } from './h2/errors.ts'

/** What a session's error is to the operator. Undefined when it only says that the peer is gone. */
export function sessionError(error: unknown): HboneError | undefined {
  if (error instanceof HboneError) return error
  if (error instanceof Http2Error && error.code === 'closed') return undefined
  const code = errorCode(error)
  if (code !== undefined && GONE.has(code)) return undefined
  return new HboneError('http2', `h2 failed: ${errorText(error)}`, { cause: error })
}

const GONE: ReadonlySet<string> = new Set([
  'ECONNRESET',
  'EPIPE',
  'ENOTCONN',
  'ERR_SOCKET_CLOSED',
  'ERR_SSL_UNEXPECTED_EOF_WHILE_READING',
])
