import { Session } from 'node:inspector/promises'

/** Bytes between two samples, on average; V8's own default, cheap enough to leave on for hours. */
const SAMPLING_INTERVAL_BYTES = 32_768

/**
 * Samples which functions allocate what is still in use. Unlike a heap
 * snapshot, which would contain every private key, a profile has names of
 * functions, files and numbers of bytes, and no values.
 */
export class HeapSampling {
  #session: Session | undefined

  get active(): boolean {
    return this.#session !== undefined
  }

  /** Begins or ends; what was sampled before is forgotten. */
  async activate(on: boolean): Promise<void> {
    if (on === this.active) return
    if (!on) {
      this.#session?.disconnect()
      this.#session = undefined
      return
    }
    const session = new Session()
    session.connect()
    this.#session = session
    await session.post('HeapProfiler.startSampling', { samplingInterval: SAMPLING_INTERVAL_BYTES })
  }

  /** A `.heapprofile` (JSON) for Chrome's developer tools; undefined when not active. */
  async profile(): Promise<string | undefined> {
    const session = this.#session
    if (session === undefined) return undefined
    const { profile } = await session.post('HeapProfiler.getSamplingProfile')
    return JSON.stringify(profile)
  }
}
