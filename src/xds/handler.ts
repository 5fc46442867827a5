/**
 * What an ADS client does with one type of resource. Each response is one
 * batch: everything valid in it takes effect at once.
 */
export interface ResourceHandler {
  readonly typeUrl: string
  /** Subscribes to nothing at first; names are asked for one by one with `demand`. Default false: everything. */
  readonly onDemand?: boolean
  /**
   * Whether a first response counts as received although a part of it had to
   * be refused. Without a refused workload the others still get on; without a
   * refused policy something might be allowed that must not be.
   */
  readonly syncedDespiteRejections: boolean
  batch(): ResourceBatch
}

export interface ResourceBatch {
  /** Decodes a resource. Throws `XdsError` with the reason for the NACK. */
  update(name: string, bytes: Uint8Array): void
  remove(name: string): void
  /** Puts the batch in force. Called once. */
  commit(): void
}
