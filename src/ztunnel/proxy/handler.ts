import type { SocketAddress } from '../../mesh/index.ts'
import type { ResponseFlag } from '../../telemetry/index.ts'

/** How a connection ended, for its record. */
export type ConnectionOutcome =
  | { readonly kind: 'complete' }
  /** Refused or broken; `flag` is the access log's response flag. */
  | {
      readonly kind: 'failed'
      readonly flag: ResponseFlag
      readonly error: string
      readonly policy?: string | undefined
    }

/** A captured TCP connection, not read from yet. */
export interface CapturedConnection {
  /** The peer of the accepted socket. */
  readonly source: SocketAddress
  /** Where the peer wanted to go before it was redirected. */
  readonly destination: SocketAddress
}

/** How a client that asked for its connection, by a protocol of its own, is told what became of it. */
export interface ConnectionReply {
  /** The destination is connected; what is written to the socket from now on comes from there. */
  connected(): void
  /** It is not, or not any more; ends the socket. */
  failed(error: unknown): void
}

/**
 * The verb of the data path: takes one accepted connection to its end. Never
 * rejects; what went wrong is in the outcome, which has been recorded already.
 * What ends it early is the workload's ConnectionTracker, which gives each
 * connection its signal.
 */
export type ConnectionHandler<Accepted> = (accepted: Accepted) => Promise<ConnectionOutcome>
