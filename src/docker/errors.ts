/** What is wrong between us and a Docker Engine; closed. */
export type DockerErrorCode =
  /** There is no socket at the path. */
  | 'socket-absent'
  /** The socket is there and may not be opened. */
  | 'permission-denied'
  /** The socket or address is there and nobody answers, or no longer. */
  | 'unreachable'
  /** Somebody answers who is no Docker Engine. */
  | 'not-docker'
  /** An engine whose API is older than what is read here. */
  | 'too-old'
  /** The engine refused a request. */
  | 'refused'
  /** What the engine sent cannot be read. */
  | 'malformed'
  /** An address of an engine that cannot be one. */
  | 'invalid-endpoint'

/** The only error class of this folder; the message says which engine, what failed and what to do. */
export class DockerError extends Error {
  readonly code: DockerErrorCode

  constructor(code: DockerErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'DockerError'
    this.code = code
  }
}
