import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Cancellation } from './cancellation.ts'
import { pumpDuplexes } from './duplex-pump.ts'
import { TunnelStream } from './h2/stream.ts'
import { TunnelDuplex } from './h2/tunnel-duplex.ts'
import { TunnelPump } from './tunnel-pump.ts'

/** Bytes moved so far; kept up to date while the pump runs. */
export interface PumpCounts {
  /** Downstream to upstream. */
  sent: number
  /** Upstream to downstream. */
  received: number
}

/** How a connection ended. */
export interface PumpResult {
  /** Undefined after a clean end, and after one that only says that the other end is gone. */
  readonly error: Error | undefined
  /** Which direction failed: `send` is downstream to upstream. Absent when the signal ended it. */
  readonly side?: 'send' | 'receive'
}

/** What can be joined: a tunnel, a TCP socket, or any other duplex stream. */
export type PumpEnd = TunnelStream | Duplex

/**
 * Joins two of them, and resolves when both directions are done. Never rejects.
 *
 * Each direction ends by itself: FIN becomes END_STREAM and back, and the other
 * direction goes on for as long as it likes. A direction is done when all of
 * its bytes were handed to the kernel, or when its sink is gone. An error ends
 * its direction as FIN does and lets the other finish; the first error is
 * reported, that of `send` before that of `receive`. In the end both streams
 * are released, whatever happened.
 *
 * Sockets must have been made with `allowHalfOpen: true`; what they received
 * before the call is not lost as long as nobody reads from them. When `signal`
 * fires both streams are cut off at once.
 *
 * A tunnel and a socket, the case that all traffic is, are joined without
 * Node's streams between them.
 */
export function pump(
  downstream: PumpEnd,
  upstream: PumpEnd,
  counts: PumpCounts,
  signal?: Cancellation,
): Promise<PumpResult> {
  return new Promise((resolve) => pumpUntil(downstream, upstream, counts, signal, resolve))
}

/** `pump` for those who keep no promise for as long as a connection lives: `onEnd` is called once, maybe at once. */
export function pumpUntil(
  downstream: PumpEnd,
  upstream: PumpEnd,
  counts: PumpCounts,
  signal: Cancellation | undefined,
  onEnd: (result: PumpResult) => void,
): void {
  if (downstream instanceof Socket && upstream instanceof TunnelStream) {
    new TunnelPump(downstream, upstream, counts, signal, true, onEnd).start()
  } else if (upstream instanceof Socket && downstream instanceof TunnelStream) {
    new TunnelPump(upstream, downstream, counts, signal, false, onEnd).start()
  } else {
    void pumpDuplexes(duplexOf(downstream), duplexOf(upstream), counts, signal).then(onEnd)
  }
}

function duplexOf(end: PumpEnd): Duplex {
  return end instanceof TunnelStream ? new TunnelDuplex(end) : end
}
