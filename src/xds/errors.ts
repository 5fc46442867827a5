export type XdsErrorCode =
  /** A resource that cannot be used; its message is the reason given in the NACK. */
  | 'invalid-resource'
  /** On-demand: the control plane did not answer in time. */
  | 'demand-timeout'
  /** On-demand: the client was stopped, or has too many questions open. */
  | 'demand-refused'
  /** The client was asked for what it cannot do in its present state. */
  | 'client-state'
  /** A mesh in a local file that cannot be read or used; the message has a line for each problem. */
  | 'local-state'

/** What goes wrong between a node proxy and its control plane, apart from gRPC's own statuses. */
export class XdsError extends Error {
  readonly code: XdsErrorCode

  constructor(code: XdsErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'XdsError'
    this.code = code
  }
}
