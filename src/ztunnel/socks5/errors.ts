/** Why a SOCKS5 client got no connection; closed. */
export type Socks5ErrorCode =
  /** Not SOCKS, or not version 5. */
  | 'version'
  /** The client insists on authentication. */
  | 'method'
  /** Something else than CONNECT. */
  | 'command'
  /** An address of a kind that RFC 1928 does not know, or a name that is no text. */
  | 'address'
  /** It took longer over its request than it may. */
  | 'timeout'
  /** It went away before it had asked for anything. */
  | 'gone'
  /** Its name leads to no address. */
  | 'lookup'

/** The only error class of this folder. */
export class Socks5Error extends Error {
  readonly code: Socks5ErrorCode

  constructor(code: Socks5ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'Socks5Error'
    this.code = code
  }
}
