/** Why a name could not be looked up; closed. */
export type DnsErrorCode =
  /** The bytes are no DNS message, or not one that may be answered. */
  | 'malformed'
  /** The proxy's own resolv.conf names nobody to ask. */
  | 'no-nameserver'
  | 'timeout'
  /** The name server cannot be reached, or broke off. */
  | 'unreachable'
  /** Too many look-ups of this workload are under way. */
  | 'busy'
  /** The name server answered that it will not or cannot answer. */
  | 'refused'
  /** The name exists nowhere, or without an address. */
  | 'no-address'
  /** The workload's DNS proxy has ended. */
  | 'closed'

/** The only error class of this folder; the message says whom we asked and what to check. */
export class DnsError extends Error {
  readonly code: DnsErrorCode

  constructor(code: DnsErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'DnsError'
    this.code = code
  }
}
