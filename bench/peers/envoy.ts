import { writeFile } from 'node:fs/promises'
import { ENVOY_VERSION } from '../../src/sidecar/envoy-program.ts'
import { ADMIN_PORT, type Json, socketAddress } from '../../src/sidecar/index.ts'
import { clientBootstrap } from '../../test/interop/support/envoy-client-config.ts'
import { serverBootstrap } from '../../test/interop/support/envoy-server-config.ts'
import { ProxyProcess } from '../proxy-process.ts'
import { APP_PORTS, type Credentials, PACKET_MARK, type Role, type Seat } from '../seat.ts'
import { type Peer, startPair, type Variant } from './peer.ts'
import { answers } from './ready.ts'

/**
 * Two Envoys as Istio's sidecars set up HBONE: CONNECT over HTTP/2 over mutual
 * TLS, shared by the tunnels. Without an access log, unlike ours.
 */
export function envoy(program: string): Peer {
  return {
    name: 'envoy',
    title: `Envoy ${ENVOY_VERSION}`,
    captured: false,
    tunnel: 'hbone',
    tunnelPort: HBONE_PORT,
    variants: ['normal', 'cold'],
    prepare: async (seat) => {
      for (const port of APP_PORTS) await seat.redirect(port, exitPort(port))
    },
    start: (seat, { variant, threads }) =>
      startPair(async (role) => {
        const file = seat.file(`envoy-${role}.json`)
        const adminPort = role === 'in' ? ADMIN_PORT : ADMIN_PORT + 1_000
        const config = bootstrap(seat, role, await seat.credentials(role), variant, adminPort)
        await writeFile(file, JSON.stringify(config))
        const process = ProxyProcess.start({
          name: `envoy ${role}`,
          namespace: seat.pod(role),
          program,
          argv: [
            ...['-c', file, '--disable-hot-restart', '-l', 'error'],
            ...(threads === undefined ? [] : ['--concurrency', String(threads)]),
          ],
          logFile: seat.logFile(role),
        })
        return { process, ready: process.until(() => answers(seat.pod(role), adminPort, '/ready'), 'live') }
      }),
  }
}

function bootstrap(seat: Seat, role: Role, tls: Credentials, variant: Variant, adminPort: number): Json {
  const config =
    role === 'out'
      ? clientBootstrap({
          origins: { client: { tls, unshared: variant === 'cold' } },
          exits: APP_PORTS.map((port) => ({
            port: exitPort(port),
            target: `${seat.address}:${port}`,
            origin: 'client',
          })),
        })
      : serverBootstrap({ addresses: [seat.address], tls, ports: APP_PORTS.map((port) => ({ port })) })
  return {
    ...(tuned(config) as Json),
    admin: { address: socketAddress('127.0.0.1', adminPort) },
    // On loopback the application's address is redirected for everybody without the mark.
    cluster_manager: {
      upstream_bind_config: {
        source_address: { address: '0.0.0.0', port_value: 0 },
        socket_options: [
          { level: SOL_SOCKET, name: SO_MARK, int_value: PACKET_MARK, state: 'STATE_PREBIND' },
        ],
      },
    },
  }
}

/**
 * No access log; and the client is told how many streams the server takes on a
 * connection, which it otherwise learns only after it has opened too many.
 */
function tuned(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(tuned)
  if (typeof value !== 'object' || value === null) return value
  const kept = Object.entries(value).filter(([key]) => key !== 'access_log')
  return Object.fromEntries(
    kept.map(([key, inner]) => [
      key,
      key === 'http2_protocol_options'
        ? { max_concurrent_streams: MAX_STREAMS, ...Object(tuned(inner)) }
        : tuned(inner),
    ]),
  )
}

/** Beside the client. */
function exitPort(port: number): number {
  return port - 1_000
}

/** Of a connection: what istiod has the server take. */
const MAX_STREAMS = 100
const HBONE_PORT = 15_008
const SOL_SOCKET = 1
const SO_MARK = 36
