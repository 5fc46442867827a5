import type { Readable, Writable } from 'node:stream'
import type { HttpHeaders } from '../../mesh/http/request.ts'
import type { Downstream } from './downstream.ts'
import { REPLAY_BYTES } from './limits.ts'

/** Takes a body: the sink's own back-pressure counts. */
export interface BodyTaker {
  readonly sink: Writable
  /** After the last byte. */
  finish(trailers: HttpHeaders): void
}

/** Takes a copy, and never holds anything up. */
export interface BodyCopier {
  write(chunk: Buffer): void
  finish(trailers: HttpHeaders): void
  /** There will be no more, and this was not all. */
  abort(): void
}

/**
 * The body of one request on its way to one upstream after the other. What has
 * gone to the first is kept for the next, up to `REPLAY_BYTES` and until
 * `forget`; a body that is longer can be sent once.
 */
export class RequestBody {
  readonly #downstream: Downstream
  readonly #source: Readable
  readonly #maxBytes: number
  readonly #copiers: BodyCopier[] = []
  #kept: Buffer[] | undefined = []
  #taker: BodyTaker | undefined
  #started = false
  #ended = false
  #stopped = false
  /** Of the client so far. */
  bytes = 0
  /** The client sends more than is allowed. */
  onTooLarge: (() => void) | undefined

  readonly #onData = (chunk: Buffer): void => this.#push(chunk)
  readonly #onEnd = (): void => this.#finish()
  readonly #resume = (): void => void this.#source.resume()

  constructor(downstream: Downstream, hasBody: boolean, maxBytes: number) {
    this.#downstream = downstream
    this.#source = downstream.body
    this.#maxBytes = maxBytes
    this.#ended = !hasBody
  }

  /** Whether a further taker would get all of it. */
  get replayable(): boolean {
    return this.#kept !== undefined
  }

  /** The client has sent all of it. */
  get complete(): boolean {
    return this.#ended
  }

  /** Nobody will need what has gone by. */
  forget(): void {
    this.#kept = undefined
  }

  /** A copy of everything goes to `copier` as well. Only before `attach`. */
  copyTo(copier: BodyCopier): void {
    this.#copiers.push(copier)
    // There is nobody else who ends a copy of an empty body.
    if (this.#ended) copier.finish([])
  }

  /** Sends everything from its first byte. Only one taker at a time, and a second one only while `replayable`. */
  attach(taker: BodyTaker): void {
    this.#taker = taker
    for (const chunk of this.#kept ?? []) taker.sink.write(chunk)
    if (this.#ended) {
      taker.finish(this.#started ? this.#downstream.requestTrailers() : [])
      return
    }
    taker.sink.on('drain', this.#resume)
    if (!this.#started) this.#start()
    this.#source.resume()
  }

  /** The taker gets nothing more. */
  detach(): void {
    this.#taker?.sink.off('drain', this.#resume)
    this.#taker = undefined
    if (!this.#ended) this.#source.pause()
  }

  /** Nobody wants any of it any more. */
  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#taker?.sink.off('drain', this.#resume)
    this.#taker = undefined
    this.#kept = undefined
    this.#source.off('data', this.#onData).off('end', this.#onEnd)
    if (!this.#ended) for (const copier of this.#copiers) copier.abort()
  }

  #start(): void {
    this.#started = true
    this.#source.on('data', this.#onData).once('end', this.#onEnd)
  }

  #push(chunk: Buffer): void {
    this.bytes += chunk.length
    if (this.bytes > this.#maxBytes) {
      this.#source.pause()
      this.onTooLarge?.()
      return
    }
    if (this.#kept !== undefined) {
      if (this.bytes > REPLAY_BYTES) this.#kept = undefined
      else this.#kept.push(chunk)
    }
    for (const copier of this.#copiers) copier.write(chunk)
    if (this.#taker?.sink.write(chunk) === false) this.#source.pause()
  }

  #finish(): void {
    this.#ended = true
    const trailers = this.#downstream.requestTrailers()
    for (const copier of this.#copiers) copier.finish(trailers)
    this.#taker?.sink.off('drain', this.#resume)
    this.#taker?.finish(trailers)
  }
}
