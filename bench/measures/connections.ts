import { acceptedConnections } from '../accounting.ts'
import { HTTP_PORT } from '../seat.ts'
import { httpLoad } from './http-load.ts'
import { cpuPer, type Figure, type Measure, type MeasureContext, type Sample } from './measure.ts'

/** A new connection for each request, over tunnels that are there already. */
export function warmConnections(): Measure {
  return {
    ...connections(),
    name: 'connect-warm',
    title: 'new connections, warm pool',
    quick: true,
  }
}

/** A new connection for each request, and for each of them a handshake between the proxies. */
export function coldConnections(): Measure {
  return {
    ...connections(),
    name: 'connect-cold',
    title: 'new connections, cold pool',
    variant: 'cold',
    proxiesOnly: true,
  }
}

/** Full handshakes with the inbound proxy alone, made by a client that is as fast as any peer's. */
export function handshakes(): Measure {
  return {
    name: 'handshakes',
    title: 'full mTLS handshakes with the inbound proxy',
    figures: [
      { key: 'rps', title: 'handshakes/s', unit: '', digits: 0 },
      { key: 'cpuPerConnection', title: 'CPU each', unit: 'ms', digits: 2 },
    ],
    proxiesOnly: true,
    run: async (context) => {
      const { mesh, seat, peer, options } = context
      if (peer.tunnel === 'none') return {}
      const { chain, key, roots } = await seat.credentials('out')
      const authority = `${seat.address}:${HTTP_PORT}`
      const where = [peer.tunnel, seat.address, String(peer.tunnelPort), authority]
      const argv = [...where, String(options.seconds), String(AT_ONCE), chain, key, roots]
      const result = await mesh.load<Sample>(seat, 'node', 'handshakes.ts', argv, options.seconds)
      const { requests = 0, failed = 0, resumed = 0, seconds = options.seconds } = result
      if (requests === 0 || failed + resumed > requests / 100) {
        throw new Error(`${failed} handshakes failed, ${resumed} were resumed, ${requests} ended well`)
      }
      return { ...result, rps: requests / seconds }
    },
    derive: perConnection,
  }
}

/** What both mesh sizes are compared by, too. */
export async function connectLoad(context: MeasureContext): Promise<Sample> {
  const { seat, peer, options } = context
  const before = acceptedConnections(seat.pod('in'))
  const load = { mode: 'connect', connections: CLIENTS, seconds: options.seconds } as const
  const result = await httpLoad(context, load)
  if (peer.tunnel === 'none' || seat.topology === 'loopback') return result
  // In the server's namespace the application accepts one for each request; all others are tunnels.
  const tunnels = acceptedConnections(seat.pod('in')) - before - (result['requests'] ?? 0)
  return { ...result, handshakesEach: Math.max(0, tunnels) / (result['requests'] ?? 1) }
}

/** CPU of both proxies for each connection. */
export function perConnection({ requests = 0 }: Sample, accounts: Parameters<typeof cpuPer>[2]): Sample {
  return cpuPer('cpuPerConnection', requests, accounts, 1e3)
}

export const CONNECTION_FIGURES: readonly Figure[] = [
  { key: 'rps', title: 'connections/s', unit: '', digits: 0 },
  { key: 'p50ms', title: 'p50', unit: 'ms', digits: 2 },
  { key: 'p99ms', title: 'p99', unit: 'ms', digits: 2 },
  { key: 'cpuPerConnection', title: 'CPU each', unit: 'ms', digits: 3 },
  { key: 'handshakesEach', title: 'handshakes each', unit: '', digits: 2 },
]

function connections(): Pick<Measure, 'derive' | 'figures' | 'run'> {
  return { figures: CONNECTION_FIGURES, run: connectLoad, derive: perConnection }
}

const CLIENTS = 32
const AT_ONCE = 16
