import { ERROR, errorName } from './constants.ts'

/**
 * What can go wrong with an HTTP/2 connection or a stream of it.
 *
 * - `protocol`: the peer broke a rule, or asked for more than we bear; `h2Code` says which.
 * - `goaway`: the peer ended the connection with an error.
 * - `reset`: RST_STREAM, by the peer.
 * - `closed`: the connection is gone, and with it the stream; nobody is to blame.
 * - `unsent`: nothing was sent: the connection takes no more streams.
 * - `unsendable`: a header field that HTTP/2 cannot carry.
 */
export type Http2ErrorCode = 'protocol' | 'goaway' | 'reset' | 'closed' | 'unsent' | 'unsendable'

/** An error of an HTTP/2 connection or stream. */
export class Http2Error extends Error {
  readonly code: Http2ErrorCode
  /** As RFC 9113 section 7 numbers them. */
  readonly h2Code: number

  constructor(code: Http2ErrorCode, h2Code: number, message: string) {
    super(message)
    this.name = 'Http2Error'
    this.code = code
    this.h2Code = h2Code
  }
}

/** The peer broke a rule: the connection ends with this code. */
export function protocolError(name: keyof typeof ERROR, what: string): Http2Error {
  return new Http2Error('protocol', ERROR[name], `${what} (${name})`)
}

/** The peer reset a stream. */
export function resetError(h2Code: number): Http2Error {
  return new Http2Error('reset', h2Code, `stream reset by the peer: ${errorName(h2Code)}`)
}
