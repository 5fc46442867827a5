import { protocolError } from './errors.ts'
import { RateLimit } from './rate-limit.ts'

/** What a peer may make us hold or do, as far as an operator's settings decide it. */
export interface SessionLimits {
  /** Fields of one message. */
  readonly maxHeaderListPairs: number
  /** What was received and not taken, of all streams, before new ones are refused, bytes. */
  readonly maxHeldBytes: number
  /** Streams refused over the life of the connection. */
  readonly maxRejectedStreams: number
  /** RST_STREAM of a client: so many at once, so many per second. */
  readonly resetBurst: number
  readonly resetRate: number
}

/** PONGs, answers and resets that wait for the peer to read; nghttp2's limit. */
const MAX_QUEUED_ANSWERS = 1000
/**
 * Frames that do nothing: so many at once, so many per second (nghttp2 takes
 * 1,000 and 33): empty DATA, unknown types, PRIORITY, SETTINGS again and again.
 */
const IDLE_FRAME_BURST = 1000
const IDLE_FRAME_RATE = 100

/** Counts what costs a peer next to nothing, and us something. Each throws when it is too much: the connection ends. */
export class PeerBudget {
  /** Received and not taken, of all streams, bytes. */
  held = 0
  readonly #limits: SessionLimits
  readonly #resets: RateLimit
  readonly #idleFrames = new RateLimit(IDLE_FRAME_BURST, IDLE_FRAME_RATE)
  #rejected = 0
  #queuedAnswers = 0
  #lateAnswers = 0

  constructor(limits: SessionLimits) {
    this.#limits = limits
    this.#resets = new RateLimit(limits.resetBurst, limits.resetRate)
  }

  /** Whether so much is held that new streams are refused. */
  get full(): boolean {
    return this.held > this.#limits.maxHeldBytes
  }

  /** A frame that does nothing. */
  idleFrame(): void {
    if (!this.#idleFrames.take()) throw tooMuch('too many frames that do nothing')
  }

  /** The client resets one of its streams (CVE-2023-44487), or makes us do it (CVE-2025-8671). */
  reset(): void {
    if (!this.#resets.take()) throw tooMuch('streams are reset too fast')
  }

  /** A stream had to be refused. */
  rejected(): void {
    if (++this.#rejected > this.#limits.maxRejectedStreams)
      throw tooMuch(`${this.#rejected} streams had to be refused`)
  }

  /** We gave a request up: its answer may be on its way. */
  expectLateAnswer(): void {
    this.#lateAnswers++
  }

  /** The answer to a request that is over. */
  lateAnswer(): void {
    if (this.#lateAnswers > 0) this.#lateAnswers--
    else this.idleFrame()
  }

  /** An answer waits for the peer to read. */
  queueAnswer(): void {
    this.#queuedAnswers++
  }

  /** Before something that makes for more answers: a peer that never reads would have us hold them all. */
  checkAnswers(): void {
    if (this.#queuedAnswers >= MAX_QUEUED_ANSWERS)
      throw tooMuch(`${this.#queuedAnswers} answers that the peer does not read`)
  }

  /** The peer reads. */
  answersLeft(): void {
    this.#queuedAnswers = 0
  }
}

function tooMuch(what: string): Error {
  return protocolError('ENHANCE_YOUR_CALM', what)
}
