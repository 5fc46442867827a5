import type { Readable, Writable } from 'node:stream'

/** A body on its way back to the client. */
export interface Relay {
  /** So far. */
  readonly bytes: number
  /** Nothing moves any more, and `onEnd` is not called. */
  stop(): void
}

/**
 * Moves the bytes of `source` into `sink`, no faster than it takes them, and
 * says when the last is in. Errors of both are for whoever owns them; `sink`
 * is not ended, since trailers may follow.
 */
export function relay(source: Readable, sink: Writable, onEnd: () => void): Relay {
  return new BodyRelay(source, sink, onEnd)
}

class BodyRelay implements Relay {
  readonly #source: Readable
  readonly #sink: Writable
  readonly #onEnd: () => void
  bytes = 0
  readonly #onData = (chunk: Buffer): void => {
    this.bytes += chunk.length
    if (!this.#sink.write(chunk)) this.#source.pause()
  }
  readonly #onDrain = (): void => void this.#source.resume()
  readonly #onSourceEnd = (): void => {
    this.stop()
    this.#onEnd()
  }

  constructor(source: Readable, sink: Writable, onEnd: () => void) {
    this.#source = source
    this.#sink = sink
    this.#onEnd = onEnd
    sink.on('drain', this.#onDrain)
    source.once('end', this.#onSourceEnd).on('data', this.#onData)
  }

  stop(): void {
    this.#sink.off('drain', this.#onDrain)
    this.#source.off('data', this.#onData).off('end', this.#onSourceEnd)
  }
}
