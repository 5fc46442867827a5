import type { Duplex, Readable, Writable } from 'node:stream'
import type { BodyFraming } from './downstream.ts'
import { HttpError } from './errors.ts'
import type { ForwardTarget, HttpResponseHead } from './exchange.ts'
import type { RequestBody } from './request-body.ts'
import type { UpstreamCall, UpstreamHandlers, UpstreamRequest } from './upstream-call.ts'
import type { HttpUpstreamPool } from './upstream-pool.ts'

/** An answer of which only the head is here. */
export interface Answered {
  readonly kind: 'answered'
  readonly head: HttpResponseHead
  readonly framing: BodyFraming
  readonly body: Readable
  readonly call: UpstreamCall
}

/** How one try went, as far as it decides whether there is another one. */
export type Outcome =
  | Answered
  | { readonly kind: 'upgraded'; readonly head: HttpResponseHead; readonly stream: Duplex }
  | { readonly kind: 'failed'; readonly error: HttpError }

export interface AttemptOptions {
  readonly upstreams: HttpUpstreamPool
  readonly target: ForwardTarget
  readonly request: UpstreamRequest
  readonly body: RequestBody
  /** To the answer's last byte, milliseconds; 0: no limit. */
  readonly timeoutMs: number
  readonly onInformation: (head: HttpResponseHead) => void
}

/** One try: the request on its way to one upstream. */
export class Attempt implements UpstreamHandlers {
  readonly outcome: Promise<Outcome>
  readonly #options: AttemptOptions
  readonly #settle: (outcome: Outcome) => void
  #call: UpstreamCall | undefined
  #timer: NodeJS.Timeout | undefined
  #answered = false
  #failure: HttpError | undefined
  #onBroken: ((error: HttpError) => void) | undefined

  constructor(options: AttemptOptions) {
    this.#options = options
    const { promise, resolve } = Promise.withResolvers<Outcome>()
    this.outcome = promise
    this.#settle = resolve
    if (options.timeoutMs > 0) {
      this.#timer = setTimeout(() => {
        this.cancel(new HttpError('timeout', `no whole answer in ${options.timeoutMs} ms`))
      }, options.timeoutMs)
    }
    this.#call = options.upstreams.call(options.target, options.request, this)
    // It failed or was cancelled before there was anything to give up.
    if (this.#failure !== undefined) this.#call.abort()
  }

  /** Called when the answer breaks off after its head; at once if it has already. */
  onBroken(listener: (error: HttpError) => void): void {
    this.#onBroken = listener
    if (this.#failure !== undefined) listener(this.#failure)
  }

  /** Gives up, for `error`. */
  cancel(error: HttpError): void {
    if (this.#failure !== undefined) return
    this.#call?.abort()
    this.onFailure(error)
  }

  /** The answer is all here, or nobody wants the rest. */
  done(): void {
    clearTimeout(this.#timer)
    this.#onBroken = undefined
  }

  onReady(call: UpstreamCall, sink: Writable): void {
    this.#call = call
    const { body } = this.#options
    body.attach({ sink, finish: (trailers) => call.finish(trailers) })
    // The first bytes of the body take the head with them, if they are there.
    if (!body.complete) setImmediate(flush, call)
  }

  onInformation(head: HttpResponseHead): void {
    if (!this.#answered) this.#options.onInformation(head)
  }

  onHead(head: HttpResponseHead, framing: BodyFraming, body: Readable): void {
    const call = this.#call
    if (call === undefined) return
    this.#answered = true
    this.#settle({ kind: 'answered', head, framing, body, call })
  }

  onUpgrade(head: HttpResponseHead, stream: Duplex): void {
    clearTimeout(this.#timer)
    this.#settle({ kind: 'upgraded', head, stream })
  }

  onFailure(error: HttpError): void {
    if (this.#failure !== undefined) return
    clearTimeout(this.#timer)
    this.#failure = error
    this.#options.body.detach()
    if (this.#answered) this.#onBroken?.(error)
    else this.#settle({ kind: 'failed', error })
  }
}

function flush(call: UpstreamCall): void {
  call.flush()
}
