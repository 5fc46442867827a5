/** Bounds of the connections to one upstream; all optional. */
export interface UpstreamPoolOptions {
  /** Connections per upstream key. Default 1024. */
  readonly maxConnections?: number | undefined
  /** Requests per upstream key that wait for a connection. Default 1024. */
  readonly maxPending?: number | undefined
  /** A connection that nobody uses is closed after that, milliseconds. Default 60 s. */
  readonly idleTimeoutMs?: number | undefined
}

/** The connections of one waypoint to its upstreams, by upstream key. */
export class HttpUpstreamPool {
  readonly #options: UpstreamPoolOptions

  constructor(options: UpstreamPoolOptions = {}) {
    this.#options = options
  }

  get options(): UpstreamPoolOptions {
    return this.#options
  }

  /** No new connections; idle ones are closed now, others after their last request. Resolves when none is left. */
  async drain(): Promise<void> {}

  /** Closes all connections at once. */
  close(): void {}
}
