import type { Readable } from 'node:stream'
import type { HttpHeaders, HttpRequestHead } from '../../mesh/http/request.ts'
import type { CheckedRequest } from './check-request.ts'
import type { BodyFraming, Downstream } from './downstream.ts'
import type { ForwardOptions, ForwardResult, HttpExchange, HttpProtocol, MirrorOptions } from './exchange.ts'
import { Forwarding } from './forward.ts'
import { sendLocalReply } from './local-reply.ts'
import { Mirror } from './mirror.ts'
import { RequestBody } from './request-body.ts'
import type { HttpUpstreamPool } from './upstream-pool.ts'

export interface ExchangeOptions {
  readonly upstreams: HttpUpstreamPool
  readonly maxBodyBytes: number
  readonly upgrade: string | undefined
}

/** What a request handler gets; see `HttpExchange`. */
export class Exchange implements HttpExchange {
  readonly head: HttpRequestHead
  readonly expectsContinue: boolean
  readonly upgrade: string | undefined
  readonly startedAt = performance.now()
  readonly #downstream: Downstream
  readonly #framing: BodyFraming
  readonly #upstreams: HttpUpstreamPool
  readonly #body: RequestBody
  #gone: AbortController | undefined
  #isGone = false

  constructor(downstream: Downstream, request: CheckedRequest, options: ExchangeOptions) {
    this.head = request.head
    this.expectsContinue = request.expectsContinue
    this.upgrade = options.upgrade
    this.#downstream = downstream
    this.#framing = request.framing
    this.#upstreams = options.upstreams
    this.#body = new RequestBody(downstream, request.framing.hasBody, options.maxBodyBytes)
    downstream.onClose((complete) => {
      this.#body.stop()
      if (complete) return
      this.#isGone = true
      this.#gone?.abort()
    })
  }

  get protocol(): HttpProtocol {
    return this.#downstream.protocol
  }

  get version(): HttpExchange['version'] {
    return this.#downstream.version
  }

  get body(): Readable {
    return this.#downstream.body
  }

  /** Made when somebody asks: most requests need none. */
  get signal(): AbortSignal {
    this.#gone ??= new AbortController()
    if (this.#isGone) this.#gone.abort()
    return this.#gone.signal
  }

  respond(status: number, headers: HttpHeaders = [], body = ''): Promise<ForwardResult> {
    return new Promise((resolve) => {
      const finish = (complete: boolean): void => {
        resolve({
          status: sent?.status ?? 0,
          grpcStatus: sent?.grpcStatus,
          requestBytes: this.#body.bytes,
          responseBytes: sent?.bytes ?? 0,
          durationMs: performance.now() - this.startedAt,
          upstreamMs: undefined,
          flags: complete ? [] : ['DC'],
          tries: 0,
          upstreamKey: undefined,
          detail: undefined,
        })
      }
      const sent = this.#isGone
        ? undefined
        : sendLocalReply(this.#downstream, this.head, { status, headers, body })
      if (this.#isGone) finish(false)
      else this.#downstream.onClose(finish)
    })
  }

  forward(options: ForwardOptions): Promise<ForwardResult> {
    return new Forwarding({
      downstream: this.#downstream,
      upstreams: this.#upstreams,
      body: this.#body,
      framing: this.#framing,
      expectsContinue: this.expectsContinue,
      upgrade: this.upgrade,
      startedAt: this.startedAt,
      isGone: this.#isGone,
      options,
    }).run()
  }

  mirror(options: MirrorOptions): void {
    if (this.#isGone || this.upgrade !== undefined) return
    this.#body.copyTo(new Mirror(this.#upstreams, options, this.#framing))
  }
}
