import type { CheckContext } from './context.ts'

/**
 * `must`: without it peers of the mesh cannot work with the target, or cannot
 * trust it. `should`: what Istio's own data planes do, or what an RFC
 * recommends; some peers rely on it. `ours`: what we hold to be right beyond that.
 */
export type Level = 'must' | 'should' | 'ours'

/** What a check cannot be run without, and which option gives it. */
export type Need = 'authority' | 'application' | 'ca' | 'denied' | 'dead' | 'proxy' | 'drain'

/** What a check found. `seen` is what the target did, in a few words. */
export type Finding =
  | { readonly result: 'pass'; readonly seen?: string }
  | { readonly result: 'fail'; readonly seen: string }
  | { readonly result: 'not-applicable'; readonly why: string }

export interface Check {
  /** `topic/what`, lower case; stable, for `--only`. */
  readonly name: string
  /** What the target is expected to do, as a sentence. */
  readonly title: string
  readonly level: Level
  /** The RFC section, or the Istio behaviour, that says so. */
  readonly standsOn: string
  /** Why it matters, for one who has never read the RFC. */
  readonly explanation: string
  readonly needs?: readonly Need[]
  /** What it waits for has a timer of the target behind it: so long, seconds. */
  readonly patience?: number
  /** After it the target is not what it was: run last. */
  readonly last?: boolean
  run(context: CheckContext): Promise<Finding>
}

export function pass(seen?: string): Finding {
  return seen === undefined ? { result: 'pass' } : { result: 'pass', seen }
}

export function fail(seen: string): Finding {
  return { result: 'fail', seen }
}

export function notApplicable(why: string): Finding {
  return { result: 'not-applicable', why }
}

/** Pass or fail by a condition; `seen` in both cases. */
export function expect(holds: boolean, seen: string): Finding {
  return holds ? pass(seen) : fail(seen)
}
