/**
 * What tells work to stop before its time: an `AbortSignal`, or something
 * lighter that behaves as one. A connection needs one for all of its life, and
 * Node's own with its controller costs as much as the rest of what is
 * remembered of it.
 */
export interface Cancellation {
  readonly aborted: boolean
  readonly reason: unknown
  /** Throws the reason, once it has fired. */
  throwIfAborted(): void
  /** Called once, when it fires; never when it has fired already. */
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once?: boolean }): void
  removeEventListener(type: 'abort', listener: () => void): void
}
