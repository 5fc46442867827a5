import type { Duplex } from 'node:stream'
import { isBenign } from './benign.ts'
import type { Cancellation } from './cancellation.ts'
import { abortError } from './errors.ts'
import type { PumpCounts, PumpResult } from './pump.ts'
import { release } from './release.ts'

/**
 * A source is paused when its sink holds this many bytes: four of the kernel's
 * reads (64 KiB), so that the next ones are under way while the last are
 * written. Against Node's own mark, one read, it halves the writes of the
 * TCP-to-tunnel direction (measured: 8 per MB, not 16). More gains nothing.
 */
export const PAUSE_BYTES = 256 * 1024

/** `pump` for any two duplex streams. */
export function pumpDuplexes(
  downstream: Duplex,
  upstream: Duplex,
  counts: PumpCounts,
  signal?: Cancellation,
): Promise<PumpResult> {
  return new Promise((resolve) => {
    const onAbort = (): void => {
      downstream.destroy()
      upstream.destroy()
    }
    const onDone = (): void => {
      if (!send.done || !receive.done) return
      signal?.removeEventListener('abort', onAbort)
      resolve(signal?.aborted ? { error: abortError(signal) } : result(send, receive))
      send.detach()
      receive.detach()
      release(downstream)
      release(upstream)
    }
    const send = new Direction(downstream, upstream, counts, 'sent', onDone)
    const receive = new Direction(upstream, downstream, counts, 'received', onDone)
    attachErrors(downstream, send, receive)
    attachErrors(upstream, receive, send)
    signal?.addEventListener('abort', onAbort, { once: true })
    if (signal?.aborted) onAbort()
    send.start()
    receive.start()
  })
}

/** One direction of a pump. */
class Direction {
  done = false
  error: Error | undefined
  readonly #source: Duplex
  readonly #sink: Duplex
  readonly #counts: PumpCounts
  readonly #counter: keyof PumpCounts
  readonly #onDone: () => void
  #sourceEnded = false
  #corked = false

  constructor(
    source: Duplex,
    sink: Duplex,
    counts: PumpCounts,
    counter: keyof PumpCounts,
    onDone: () => void,
  ) {
    this.#source = source
    this.#sink = sink
    this.#counts = counts
    this.#counter = counter
    this.#onDone = onDone
  }

  get sourceEnded(): boolean {
    return this.#sourceEnded
  }

  start(): void {
    const source = this.#source
    const sink = this.#sink
    // Events of the past do not come again.
    if (sink.destroyed || sink.writableFinished) {
      this.#finish()
      return
    }
    sink.on('drain', this.#onDrain)
    sink.on('finish', this.#finish)
    sink.on('close', this.#finish)
    if (source.readableEnded) {
      this.#onEnd()
      return
    }
    if (source.destroyed) {
      this.#onSourceClose()
      return
    }
    source.on('end', this.#onEnd)
    source.on('close', this.#onSourceClose)
    source.on('data', this.#onData)
    // A socket accepted with pauseOnConnect stays paused otherwise.
    source.resume()
  }

  detach(): void {
    this.#source.off('data', this.#onData)
    this.#source.off('end', this.#onEnd)
    this.#source.off('close', this.#onSourceClose)
    this.#sink.off('drain', this.#onDrain)
    this.#sink.off('finish', this.#finish)
    this.#sink.off('close', this.#finish)
  }

  readonly #onData = (chunk: Buffer): void => {
    const sink = this.#sink
    // A reset HTTP/2 stream is ended by Node before it is destroyed: a write
    // would destroy it at once, and with it what it has received.
    if (this.done || sink.writableEnded) return
    this.#counts[this.#counter] += chunk.length
    // One TLS record of 16 KiB arrives as three chunks (the frame header does
    // not fit), so each tick's chunks go out in one writev (measured: 5 writes
    // per MB, not 122).
    if (!this.#corked) {
      this.#corked = true
      sink.cork()
      setImmediate(this.#uncork)
    }
    if (!sink.write(chunk) && sink.writableLength >= PAUSE_BYTES) this.#source.pause()
  }

  readonly #uncork = (): void => {
    this.#corked = false
    this.#sink.uncork()
  }

  readonly #onDrain = (): void => {
    if (!this.done) this.#source.resume()
  }

  readonly #onEnd = (): void => {
    this.#sourceEnded = true
    this.#endSink()
  }

  /** The source is gone without FIN or END_STREAM: what it received before still counts. */
  readonly #onSourceClose = (): void => {
    if (this.#sourceEnded || this.done) return
    this.#sourceEnded = true
    for (let chunk = this.#source.read(); chunk !== null; chunk = this.#source.read()) {
      // From 'close' on, read() emits no 'data'.
      if (!this.#sink.writableEnded) {
        this.#counts[this.#counter] += chunk.length
        this.#sink.write(chunk)
      }
    }
    this.#endSink()
  }

  #endSink(): void {
    if (this.done) return
    if (this.#sink.destroyed) this.#finish()
    // 'finish' comes when everything was written, or 'close' when that failed.
    else if (!this.#sink.writableEnded) this.#sink.end()
  }

  readonly #finish = (): void => {
    if (this.done) return
    this.done = true
    if (!this.#sourceEnded) this.#source.pause()
    this.#onDone()
  }
}

/**
 * An error belongs to the direction that reads from the broken stream; when
 * that one is over already, to the other. The listener stays: an error that
 * comes after the end must not crash the process.
 */
function attachErrors(stream: Duplex, reading: Direction, writing: Direction): void {
  const onError = (error: Error): void => {
    if (isBenign(error)) return
    const direction = reading.sourceEnded ? writing : reading
    if (!direction.done) direction.error ??= error
  }
  stream.on('error', onError)
  if (stream.errored) onError(stream.errored)
}

function result(send: Direction, receive: Direction): PumpResult {
  if (send.error !== undefined) return { error: send.error, side: 'send' }
  if (receive.error !== undefined) return { error: receive.error, side: 'receive' }
  return { error: undefined }
}
