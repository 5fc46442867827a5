import type { ProxyProcess } from '../proxy-process.ts'
import type { Role, Seat } from '../seat.ts'

/**
 * How a pair is set up for a measure:
 * - `normal`: as it comes;
 * - `cold`: no connection between the two is ever used again, so that every one needs a handshake;
 * - `small-mesh`, `large-mesh`: told of 100 workloads, or of as many as the options say, by the config server.
 */
export type Variant = 'cold' | 'large-mesh' | 'normal' | 'small-mesh'

export interface StartOptions {
  readonly variant: Variant
  /** xDS server of the variants that are about the mesh's size: `https://address:port`. */
  readonly xdsAddress?: string
  /** Threads of each proxy. Default: its own. */
  readonly threads?: number
}

/** One proxy of a running pair. */
export interface RunningProxy {
  readonly role: Role
  readonly process: ProxyProcess
  /** From its start until it would take connections. */
  readonly readySeconds: number
}

/** What is put between a client and a server. */
export interface Peer {
  readonly name: string
  /** As tables name it, with its version where that is known. */
  readonly title: string
  /** Its pods are the mesh's: redirected and served by a node proxy. */
  readonly captured: boolean
  /** What another proxy would have to speak to the inbound one. */
  readonly tunnel: 'hbone' | 'none' | 'tls'
  readonly variants: readonly Variant[]
  /** Called once, before any start: files, rules. */
  prepare(seat: Seat): Promise<void>
  /** Starts the pair, one after the other; resolves when both are ready. Rejects with what one of them said. */
  start(seat: Seat, options: StartOptions): Promise<readonly RunningProxy[]>
  /** Port of the server's pod on which the inbound proxy takes tunnels; with {@link Peer.tunnel}. */
  readonly tunnelPort?: number
}

/** Starts both proxies in turn; what has started is ended when one cannot. */
export async function startPair(
  start: (role: Role) => Promise<{ readonly process: ProxyProcess; readonly ready: Promise<void> }>,
): Promise<readonly RunningProxy[]> {
  const running: RunningProxy[] = []
  for (const role of ['in', 'out'] as const) {
    const began = performance.now()
    const { process, ready } = await start(role)
    try {
      await ready
    } catch (error) {
      await Promise.all([process, ...running.map((each) => each.process)].map((each) => each.stop()))
      throw error
    }
    running.push({ role, process, readySeconds: (performance.now() - began) / 1000 })
  }
  return running
}
