import { join } from 'node:path'
import { compileCache, ztunnelProgram } from '../../src/lab/app.ts'
import { nodeTokenFile, podTokenFile } from '../../src/lab/state.ts'
import { ProxyProcess } from '../proxy-process.ts'
import { APP_PORTS, PACKET_MARK, type Role, type Seat } from '../seat.ts'
import { type Peer, type StartOptions, startPair } from './peer.ts'
import { answers } from './ready.ts'

/** A program that is a node proxy of an ambient mesh. */
export interface NodeProxyOptions {
  readonly name: string
  readonly title: string
  readonly program: string
  readonly argv: readonly string[]
}

/** Our own `ztunnel proxy`, from this checkout. */
export function ours(): Peer {
  return nodeProxy({
    name: 'ours',
    title: 'ours',
    program: process.execPath,
    argv: [ztunnelProgram(), 'proxy'],
  })
}

/**
 * A node proxy on either node: mesh, certificates and pods by Istio's own
 * protocols from our config server and agents, redirected by the agents' rules.
 * On loopback, where there is one namespace, two of Istio's dedicated mode, the
 * client's with other ports.
 */
export function nodeProxy({ name, title, program, argv }: NodeProxyOptions): Peer {
  return {
    name,
    title,
    captured: true,
    tunnel: 'hbone',
    tunnelPort: HBONE_PORT,
    variants: ['normal', 'cold', 'small-mesh', 'large-mesh'],
    prepare: async (seat) => {
      if (seat.topology === 'namespaces') return
      for (const port of APP_PORTS) await seat.redirect(port, LOOPBACK_OUTBOUND_PORT)
    },
    start: (seat, options) =>
      startPair(async (role) => {
        const env = environment(seat, role, options)
        const process = ProxyProcess.start({
          name: `${name} ${role}`,
          namespace: seat.node(role),
          program,
          argv,
          env,
          logFile: seat.logFile(role),
        })
        const readinessPort = Number(env['ZTUNNEL_READINESS_PORT'] ?? READINESS_PORT)
        const ready = process.until(() => answers(seat.node(role), readinessPort, '/healthz/ready'), 'ready')
        return { process, ready }
      }),
  }
}

/** The settings by which a node proxy is told where it is: those of Istio's ztunnel. */
function environment(
  seat: Seat,
  role: Role,
  { variant, xdsAddress, threads }: StartOptions,
): Record<string, string> {
  const { state, topology } = seat.setting
  const controlPlane = `https://${topology.controlPlane.address}:15012`
  const root = join(state.certs, 'root-cert.pem')
  return {
    NODE_COMPILE_CACHE: compileCache(),
    NODE_NAME: seat.nodes[role].name,
    XDS_ADDRESS: xdsAddress ?? controlPlane,
    CA_ADDRESS: controlPlane,
    XDS_ROOT_CA: root,
    CA_ROOT_CA: root,
    ZTUNNEL_MAX_CONNECTIONS_PER_WORKLOAD: '60000',
    ...(seat.topology === 'loopback' ? dedicated(seat, role) : shared(seat, role)),
    ...(threads === undefined ? {} : { ZTUNNEL_WORKER_THREADS: String(threads) }),
    // One stream on each connection, and none kept for the next.
    ...(variant === 'cold'
      ? { POOL_MAX_STREAMS_PER_CONNECTION: '1', POOL_UNUSED_RELEASE_TIMEOUT: '1ms' }
      : {}),
  }
}

function shared(seat: Seat, role: Role): Record<string, string> {
  const { state } = seat.setting
  const { name } = seat.nodes[role]
  return {
    PROXY_MODE: 'shared',
    AUTH_TOKEN: nodeTokenFile(state, name),
    INPOD_UDS: join(state.sockets, `${name}.sock`),
  }
}

function dedicated(seat: Seat, role: Role): Record<string, string> {
  const { namespace, name, serviceAccount } = seat.pods[role]
  const offset = role === 'out' ? LOOPBACK_OFFSET : 0
  const ports = Object.entries(PORTS).map(([variable, port]) => [variable, String(port + offset)])
  return {
    PROXY_MODE: 'dedicated',
    PROXY_WORKLOAD_INFO: `${namespace}/${name}/${serviceAccount}`,
    PACKET_MARK: String(PACKET_MARK),
    AUTH_TOKEN: podTokenFile(seat.setting.state, seat.pods[role]),
    // Both ends have addresses of this namespace: there is no other source to keep.
    ENABLE_ORIG_SRC: 'false',
    // Its port is not to be moved, and nobody asks it.
    ISTIO_META_DNS_CAPTURE: 'false',
    ...Object.fromEntries(ports),
  }
}

const HBONE_PORT = 15_008
const READINESS_PORT = 15_021
/** Of the variables that move a listener. */
const PORTS = {
  ZTUNNEL_OUTBOUND_PORT: 15_001,
  ZTUNNEL_INBOUND_PLAINTEXT_PORT: 15_006,
  ZTUNNEL_INBOUND_HBONE_PORT: HBONE_PORT,
  ZTUNNEL_ADMIN_PORT: 15_000,
  ZTUNNEL_STATS_PORT: 15_020,
  ZTUNNEL_READINESS_PORT: READINESS_PORT,
} as const
const LOOPBACK_OFFSET = 1_000
const LOOPBACK_OUTBOUND_PORT = PORTS.ZTUNNEL_OUTBOUND_PORT + LOOPBACK_OFFSET
