import { createHash } from 'node:crypto'

/** A resource as clients get it. */
export interface NewResource {
  /** Unique within its type: a workload's uid, `namespace/hostname`, `namespace/name`. */
  readonly name: string
  /** Deterministic: equal resources have equal bytes. */
  readonly value: Uint8Array<ArrayBuffer>
  /** Other names that a client may ask for it by: `network/address`. */
  readonly aliases: readonly string[]
  /** Names of resources that bring this one along when asked for: a workload's services. */
  readonly groups: readonly string[]
  /** Whether it takes effect only where another resource names it: a policy with a selector. Default false. */
  readonly selective?: boolean
  /** What `versionOf` says of the bytes, if that is known. */
  readonly version?: string
}

export interface CachedResource extends NewResource {
  /** A hash of the bytes: survives a restart, and is the same on every replica. */
  readonly version: string
}

/** The version that equal bytes always have. */
export function versionOf(value: Uint8Array): string {
  return createHash('sha256').update(value).digest('hex').slice(0, VERSION_DIGITS)
}

/** 64 bits, as istiod's: versions distinguish the states of one name, not all resources from one another. */
const VERSION_DIGITS = 16
