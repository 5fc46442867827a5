import type { PeerCommand } from '../options.ts'
import { ProxyProcess } from '../proxy-process.ts'
import { APP_PORTS, HTTP_PORT, PACKET_MARK, type Role, type Seat, TCP_PORT } from '../seat.ts'
import { nodeProxy } from './node-proxy.ts'
import { type Peer, type StartOptions, startPair } from './peer.ts'
import { listens } from './ready.ts'

/** A peer by a command line: a node proxy, or a pair that is told its ports. */
export function commandPeer({ name, command, kind }: PeerCommand): Peer {
  // The shell gives way to the program: what is measured is the program alone.
  const argv = ['-c', `exec ${command}`]
  return kind === 'node' ? nodeProxy({ name, title: name, program: 'sh', argv }) : pair(name, argv)
}

/**
 * Two processes beside client and server. What the client sends to the
 * application's ports is redirected to `BENCH_LISTEN_*` of the one with
 * `BENCH_ROLE=out`; that goes to `BENCH_TUNNEL_*` at `BENCH_PEER_ADDRESS`, where
 * the other listens, which goes to the application at `BENCH_APP_*`.
 */
function pair(name: string, argv: readonly string[]): Peer {
  return {
    name,
    title: name,
    captured: false,
    tunnel: 'none',
    variants: ['normal'],
    prepare: async (seat) => {
      for (const port of APP_PORTS) await seat.redirect(port, listenPort(port))
    },
    start: (seat, options) =>
      startPair(async (role) => {
        const process = ProxyProcess.start({
          name: `${name} ${role}`,
          namespace: seat.pod(role),
          program: 'sh',
          argv,
          env: await environment(seat, role, options),
          logFile: seat.logFile(role),
        })
        const ports = APP_PORTS.map(role === 'in' ? tunnelPort : listenPort)
        return { process, ready: process.until(() => listens(seat.pod(role), ports), 'listening') }
      }),
  }
}

async function environment(
  seat: Seat,
  role: Role,
  { threads }: StartOptions,
): Promise<Record<string, string>> {
  const { chain, key, roots } = await seat.credentials(role)
  return {
    BENCH_ROLE: role,
    BENCH_LISTEN_HTTP: `127.0.0.1:${listenPort(HTTP_PORT)}`,
    BENCH_LISTEN_TCP: `127.0.0.1:${listenPort(TCP_PORT)}`,
    BENCH_PEER_ADDRESS: seat.address,
    BENCH_TUNNEL_HTTP: String(tunnelPort(HTTP_PORT)),
    BENCH_TUNNEL_TCP: String(tunnelPort(TCP_PORT)),
    BENCH_APP_HTTP: `127.0.0.1:${HTTP_PORT}`,
    BENCH_APP_TCP: `127.0.0.1:${TCP_PORT}`,
    BENCH_MARK: String(PACKET_MARK),
    BENCH_CERT: chain,
    BENCH_KEY: key,
    BENCH_ROOTS: roots,
    ...(threads === undefined ? {} : { BENCH_THREADS: String(threads) }),
  }
}

/** Beside the client. */
function listenPort(port: number): number {
  return port - 1_000
}

/** Beside the server. */
function tunnelPort(port: number): number {
  return port - 2_000
}
