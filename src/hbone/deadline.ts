import type { Cancellation } from './cancellation.ts'
import { abortError } from './errors.ts'

export interface Deadline {
  /** Milliseconds. */
  readonly ms: number
  /** What it fails with then. */
  readonly error: () => Error
  readonly signal?: Cancellation | undefined
}

/**
 * A promise of events, with an end. `listen` subscribes to whatever settles it
 * and returns the function that unsubscribes, which runs exactly once, however
 * it ends.
 */
export function withDeadline<T>(
  deadline: Deadline,
  listen: (resolve: (value: T) => void, reject: (error: Error) => void) => () => void,
): Promise<T> {
  const { ms, error, signal } = deadline
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(abortError(signal))
    const end = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      unlisten()
    }
    const fail = (reason: Error): void => {
      end()
      reject(reason)
    }
    const onAbort = (): void => fail(signal === undefined ? error() : abortError(signal))
    const timer = setTimeout(() => fail(error()), ms)
    signal?.addEventListener('abort', onAbort, { once: true })
    const unlisten = listen((value) => {
      end()
      resolve(value)
    }, fail)
  })
}

/** The promise, unless the signal fires first. What the promise does then is not waited for. */
export function orAborted<T>(promise: Promise<T>, signal: Cancellation | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(abortError(signal))
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
