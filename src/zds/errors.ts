/** What went wrong on the ZDS connection; closed, so that callers can switch over it. */
export type ZdsErrorCode =
  /** A packet over 1024 bytes, or one that arrived cut. */
  | 'packet-too-large'
  /** Not the message that the protocol has here, or no message at all. */
  | 'malformed-packet'
  /** A pod without its network namespace, several with one pod, or a descriptor where none belongs. */
  | 'wrong-descriptors'
  /** AddWorkload without a name, namespace and service account: the peer does not speak our protocol. */
  | 'workload-info-missing'
  /** The first packet was no hello of a version that we know. */
  | 'unsupported-version'
  /** A packet out of turn: each request has one answer, and none comes unasked. */
  | 'out-of-turn'
  /** The peer closed, or the socket broke. */
  | 'connection-lost'
  /** No answer within the deadline. */
  | 'timeout'
  /** No node proxy is connected. */
  | 'no-proxy'
  /** The node proxy refused a pod; the message is its own. */
  | 'refused-by-proxy'
  /** We closed. */
  | 'closed'

/** The only error class that `src/zds` throws, apart from LinuxError for the socket's own path. */
export class ZdsError extends Error {
  readonly code: ZdsErrorCode

  constructor(code: ZdsErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ZdsError'
    this.code = code
  }
}
