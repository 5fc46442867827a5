import type { ForwardTarget } from './exchange.ts'
import { callHttp1 } from './http1-call.ts'
import { Http1Upstream } from './http1-upstream.ts'
import { callHttp2 } from './http2-call.ts'
import { Http2Upstream } from './http2-upstream.ts'
import { type UpstreamBounds, type UpstreamPoolOptions, upstreamBounds } from './upstream-bounds.ts'
import type { UpstreamCall, UpstreamHandlers, UpstreamRequest } from './upstream-call.ts'

/** The connections of one waypoint to its upstreams, by protocol and upstream key. */
export class HttpUpstreamPool {
  readonly #bounds: UpstreamBounds
  readonly #http1 = new Map<string, Http1Upstream>()
  readonly #http2 = new Map<string, Http2Upstream>()
  readonly #whenEmpty: (() => void)[] = []
  #draining = false

  constructor(options: UpstreamPoolOptions = {}) {
    this.#bounds = upstreamBounds(options)
  }

  /** Connections that are open or about to be. */
  get size(): number {
    let size = 0
    for (const upstream of this.#http1.values()) size += upstream.size
    for (const upstream of this.#http2.values()) size += upstream.size
    return size
  }

  /** Begins one request. `handlers` may be called before this returns. */
  call(target: ForwardTarget, request: UpstreamRequest, handlers: UpstreamHandlers): UpstreamCall {
    if (target.protocol === 'http2')
      return callHttp2(this.#find(this.#http2, target, Http2Upstream), target, request, handlers)
    return callHttp1(this.#find(this.#http1, target, Http1Upstream), target, request, handlers)
  }

  /** No new connections; idle ones are closed now, others after their last request. Resolves when none is left. */
  drain(): Promise<void> {
    this.#draining = true
    return new Promise((resolve) => {
      this.#whenEmpty.push(resolve)
      for (const upstream of [...this.#http1.values(), ...this.#http2.values()]) upstream.drain()
      this.#checkEmpty()
    })
  }

  /** Closes all connections at once. */
  close(): void {
    this.#draining = true
    for (const upstream of [...this.#http1.values(), ...this.#http2.values()]) upstream.close()
  }

  #find<Upstream extends { drain(): void }>(
    upstreams: Map<string, Upstream>,
    { upstreamKey }: ForwardTarget,
    Kind: new (bounds: UpstreamBounds, onEmpty: () => void) => Upstream,
  ): Upstream {
    const known = upstreams.get(upstreamKey)
    if (known !== undefined) return known
    const upstream: Upstream = new Kind(this.#bounds, () => {
      if (upstreams.get(upstreamKey) === upstream) upstreams.delete(upstreamKey)
      this.#checkEmpty()
    })
    upstreams.set(upstreamKey, upstream)
    if (this.#draining) upstream.drain()
    return upstream
  }

  #checkEmpty(): void {
    if (!this.#draining || this.#http1.size + this.#http2.size > 0) return
    for (const resolve of this.#whenEmpty.splice(0)) resolve()
  }
}
