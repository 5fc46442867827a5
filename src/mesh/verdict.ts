import type { Identity } from './model.ts'

/** What a policy can see of a connection. */
export interface PolicyContext {
  /** Proven by mutual TLS; undefined for plaintext. */
  readonly sourceIdentity: Identity | undefined
  readonly sourceAddress: string
  readonly destinationAddress: string
  /** After target-port resolution. */
  readonly destinationPort: number
}

/** Outcome of one field kind of a match. */
export interface FieldResult {
  /** `principals`, `notSourceIps`, … */
  readonly field: string
  readonly matched: boolean
  /** The connection's value, as compared. */
  readonly actual: string
  /** The policy's values, as text. */
  readonly expected: readonly string[]
}

export interface MatchResult {
  readonly matched: boolean
  /** True for a match without any field: it never matches. */
  readonly empty: boolean
  readonly fields: readonly FieldResult[]
}

export interface ClauseResult {
  readonly matched: boolean
  readonly matches: readonly MatchResult[]
}

export interface RuleResult {
  readonly matched: boolean
  readonly clauses: readonly ClauseResult[]
}

/** How one policy judged one connection. */
export interface PolicyResult {
  /** `namespace/name` */
  readonly policy: string
  readonly action: 'ALLOW' | 'DENY'
  readonly dryRun: boolean
  readonly matched: boolean
  readonly rules: readonly RuleResult[]
}

/** What a dry-run policy would have said. */
export interface DryRunResult {
  /** `namespace/name` */
  readonly policy: string
  readonly action: 'ALLOW' | 'DENY'
  readonly matched: boolean
}

/** The enforced ALLOW policies of which no rule matched. */
export interface UnmatchedPolicies {
  /** `namespace/name` of the first five, in the order of evaluation. */
  readonly names: readonly string[]
  readonly total: number
}

/** The decision and all that led to it. */
export interface Verdict {
  readonly allowed: boolean
  readonly reason:
    | 'explicitly-denied'
    | 'no-allow-policies'
    | 'explicitly-allowed'
    | 'allow-policies-but-none-matched'
  /** The policy that decided, `namespace/name`; undefined when none did. */
  readonly policy: string | undefined
  /** The first rule of that policy that matched: its number, from 1, in the order of `tree`. */
  readonly rule: number | undefined
  /** Who could have allowed it; only with `allow-policies-but-none-matched`. */
  readonly unmatched?: UnmatchedPolicies
  /** One sentence for the operator: Istio's, word for word (wire/ztunnel 3.19). */
  readonly message: string
  /** Dry-run policies that were evaluated on the way to the decision, in that order; absent when there were none. */
  readonly dryRun?: readonly DryRunResult[]
  /** Every policy given, in the order of evaluation. Built on demand. */
  readonly tree: () => readonly PolicyResult[]
}
