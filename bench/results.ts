import type { Account, Sample } from './measures/measure.ts'
import { type Summary, summarize } from './statistics.ts'

/** One measure at one peer in one round. */
export interface Result {
  readonly measure: string
  readonly peer: string
  readonly round: number
  readonly sample: Sample
  readonly accounts: readonly Account[]
  /** Processors that others on the machine kept busy meanwhile. */
  readonly foreignCpus: number
  /** Of each proxy, if they were counted: the table of `strace -c`. */
  readonly systemCalls: readonly { readonly role: Account['role']; readonly table: string }[]
}

/** One measure at one peer that gave nothing. */
export interface Failure {
  readonly measure: string
  readonly peer: string
  readonly round: number
  readonly reason: string
}

/** All that a run has measured. */
export class Results {
  readonly all: Result[] = []
  readonly failures: Failure[] = []

  /** Over the rounds; undefined when none gave the figure. */
  figure(measure: string, key: string, peer: string): Summary | undefined {
    return summarize(this.#of(measure, peer).map(({ sample }) => sample[key] ?? Number.NaN))
  }

  /** Of one proxy, over the rounds. */
  account(
    measure: string,
    peer: string,
    role: Account['role'],
    key: 'cpuSeconds' | 'peakBytes',
  ): Summary | undefined {
    const accounts = this.#of(measure, peer).flatMap((result) => result.accounts)
    return summarize(accounts.filter((account) => account.role === role).map((account) => account[key]))
  }

  /** Median of ours by that of another peer; undefined when either is missing. */
  ratio(measure: string, key: string, over: string, under: string): number | undefined {
    const [a, b] = [this.figure(measure, key, over), this.figure(measure, key, under)]
    return a === undefined || b === undefined || b.median === 0 ? undefined : a.median / b.median
  }

  #of(measure: string, peer: string): readonly Result[] {
    return this.all.filter((result) => result.measure === measure && result.peer === peer)
  }
}
