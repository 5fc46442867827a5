import type { SpiffeId } from './spiffe-id.ts'
import type { Svid } from './svid.ts'
import type { GetSvidOptions } from './svid-manager.ts'

/** Where the data path has its certificates from: a SvidManager, or another thread's copy of what one holds. */
export interface SvidSource {
  /** Valid now; waits for the first one. Rejects with why there is none. */
  get(id: SpiffeId, options?: GetSvidOptions): Promise<Svid>
  /** What `get` would return at once; starts nothing. */
  peek(id: SpiffeId): Svid | undefined
  /** Calls back with every certificate that becomes available from now on, until the returned function is called. */
  onRotate(id: SpiffeId, callback: (svid: Svid) => void): () => void
  /** For a workload that will need it soon. */
  prefetch(id: SpiffeId): void
}
