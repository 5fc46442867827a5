import type { Duplex, Readable, Writable } from 'node:stream'
import type { HttpHeaders } from '../../mesh/http/request.ts'
import type { BodyFraming } from './downstream.ts'
import { HttpError } from './errors.ts'
import type { HttpResponseHead, MirrorOptions } from './exchange.ts'
import { MIRROR_BACKLOG_BYTES } from './limits.ts'
import type { BodyCopier } from './request-body.ts'
import type { UpstreamCall, UpstreamHandlers } from './upstream-call.ts'
import type { HttpUpstreamPool } from './upstream-pool.ts'

/** For a copy of a request and its answer; nobody waits for it, so nobody else would end it. */
export const MIRROR_TIMEOUT_MS = 15_000

/**
 * A copy of a request. It never slows the request down: a mirror that does not
 * keep up is given up, and what it answers is read and dropped.
 */
export class Mirror implements BodyCopier, UpstreamHandlers {
  readonly #options: MirrorOptions
  readonly #timer: NodeJS.Timeout
  #call: UpstreamCall | undefined
  #sink: Writable | undefined
  /** Until there is a connection. */
  #early: Buffer[] = []
  #earlyBytes = 0
  #trailers: HttpHeaders | undefined
  #over = false

  constructor(upstreams: HttpUpstreamPool, options: MirrorOptions, framing: BodyFraming) {
    this.#options = options
    this.#timer = setTimeout(
      () => this.#giveUp(new HttpError('timeout', `no answer in ${MIRROR_TIMEOUT_MS} ms`)),
      MIRROR_TIMEOUT_MS,
    )
    this.#timer.unref()
    const request = { head: options.head, framing, expectsContinue: false, upgrade: undefined }
    this.#call = upstreams.call(options, request, this)
  }

  write(chunk: Buffer): void {
    if (this.#over) return
    if (this.#sink === undefined) {
      this.#earlyBytes += chunk.length
      this.#early.push(chunk)
    } else this.#sink.write(chunk)
    const backlog = this.#sink?.writableLength ?? this.#earlyBytes
    if (backlog > MIRROR_BACKLOG_BYTES)
      this.#giveUp(new HttpError('overflow', `more than ${MIRROR_BACKLOG_BYTES} bytes behind the client`))
  }

  finish(trailers: HttpHeaders): void {
    this.#trailers = trailers
    if (this.#sink !== undefined) this.#call?.finish(trailers)
  }

  abort(): void {
    this.#giveUp(new HttpError('client-gone', 'the client did not send all of the request'))
  }

  onReady(call: UpstreamCall, sink: Writable): void {
    this.#call = call
    this.#sink = sink
    for (const chunk of this.#early.splice(0)) sink.write(chunk)
    if (this.#trailers !== undefined) call.finish(this.#trailers)
  }

  onInformation(): void {}

  onHead(_head: HttpResponseHead, _framing: BodyFraming, body: Readable): void {
    body.once('end', () => this.#end(undefined)).resume()
  }

  onUpgrade(_head: HttpResponseHead, stream: Duplex): void {
    stream.destroy()
  }

  onFailure(error: HttpError): void {
    this.#end(error)
  }

  #giveUp(error: HttpError): void {
    if (this.#over) return
    this.#call?.abort()
    this.#end(error)
  }

  #end(error: HttpError | undefined): void {
    if (this.#over) return
    this.#over = true
    clearTimeout(this.#timer)
    this.#early = []
    this.#options.onDone?.(error)
  }
}
