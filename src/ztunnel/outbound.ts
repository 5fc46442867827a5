import type { Duplex } from 'node:stream'
import { encodeBaggage, formatForwarded, type HbonePool, makeTraceparent } from '../hbone/index.ts'
import type { Svid, SvidManager } from '../identity/index.ts'
import {
  formatSocketAddress,
  identityUri,
  type MeshStore,
  type Route,
  resolveOutbound,
  type Workload,
  withResolvedAddress,
  workloadIdentity,
} from '../mesh/index.ts'
import type { ConnectionInfo } from '../telemetry/index.ts'
import { workloadBaggage } from './baggage.ts'
import type { CapturedSocket } from './capture-listener.ts'
import { connected } from './dial.ts'
import { errorText, ProxyError } from './errors.ts'
import type { ConnectionHandler, ConnectionOutcome } from './handler.ts'
import type { LocalWorkload } from './local-workload.ts'
import { type RelayDependencies, relay } from './relay.ts'
import { illegalPorts, type ProxySettings } from './settings.ts'
import type { SocketFactory } from './socket-factory.ts'

export interface OutboundDependencies extends RelayDependencies {
  readonly local: LocalWorkload
  readonly mesh: MeshStore
  readonly sockets: SocketFactory
  readonly svids: SvidManager
  readonly pool: HbonePool
  readonly settings: ProxySettings
  readonly random: () => number
  /** DNS, for workloads that have a hostname in place of an address. */
  readonly lookup: (hostname: string) => Promise<readonly string[]>
}

type Dialable = Exclude<Route, { kind: 'refused' }>

/** Handles what a workload opens (15001): resolve, then relay. */
export function outboundHandler(deps: OutboundDependencies): ConnectionHandler<CapturedSocket> {
  const illegal = illegalPorts(deps.settings)
  return async (accepted) => {
    const resolved = await resolve(deps, accepted, illegal)
    if ('kind' in resolved) return resolved
    const { source, route } = resolved
    const traceparent = makeTraceparent()
    return relay(deps, {
      info: connectionInfo(accepted, source, route, traceparent.traceId),
      originalDestination: formatSocketAddress(accepted.destination),
      actualDestination: formatSocketAddress(route.dial),
      connect: async (dialSignal) => ({
        downstream: accepted.socket,
        upstream: await dial(deps, accepted, source, route, traceparent.header, dialSignal),
      }),
      fail: () => accepted.socket.destroy(),
    })
  }
}

/** The route, or the outcome of a connection that was turned away before it had one. */
async function resolve(
  deps: OutboundDependencies,
  accepted: CapturedSocket,
  illegal: ReadonlySet<number>,
): Promise<{ source: Workload; route: Dialable } | ConnectionOutcome> {
  const refuse = (error: string): ConnectionOutcome => {
    accepted.socket.destroy()
    deps.telemetry.rejectedEarly({
      sourceAddress: formatSocketAddress(accepted.source),
      destinationAddress: formatSocketAddress(accepted.destination),
      direction: 'outbound',
      error,
    })
    return { kind: 'failed', flag: 'CONNECT', error }
  }
  try {
    const source = await deps.local.get()
    const { mesh, random } = deps
    const network = deps.settings.network
    const destination = accepted.destination
    const input = { source, destination, network, random, illegalPorts: illegal }
    const route = await resolveDns(deps, resolveOutbound(mesh, input))
    return route.kind === 'refused' ? refuse(route.message) : { source, route }
  } catch (error) {
    return refuse(errorText(error))
  }
}

/** A route to a hostname gets its address; all others are complete. */
async function resolveDns(deps: OutboundDependencies, route: Route): Promise<Route> {
  if ((route.kind !== 'hbone' && route.kind !== 'tcp') || route.dns === undefined) return route
  const answers = await deps.lookup(route.dns.hostname).catch((): readonly string[] => [])
  return withResolvedAddress(route, answers, deps.random)
}

function connectionInfo(
  accepted: CapturedSocket,
  source: Workload,
  route: Dialable,
  traceId: string,
): Omit<ConnectionInfo, 'counts'> {
  const secure = route.kind === 'hbone'
  const proven = (workload: Workload): { identity?: string } =>
    secure ? { identity: identityUri(workloadIdentity(workload)) } : {}
  return {
    direction: 'outbound',
    source: { address: formatSocketAddress(accepted.source), workload: source, ...proven(source) },
    destination: {
      address: formatSocketAddress(route.dial),
      ...(secure ? { hboneAddress: route.authority } : {}),
      ...(route.service === undefined ? {} : { service: route.service }),
      ...(route.workload === undefined ? {} : { workload: route.workload, ...proven(route.workload) }),
    },
    secure,
    traceId,
    steps: route.steps,
  }
}

async function dial(
  deps: OutboundDependencies,
  accepted: CapturedSocket,
  source: Workload,
  route: Dialable,
  traceparent: string,
  signal: AbortSignal,
): Promise<Duplex> {
  if (route.kind !== 'hbone') {
    const socket = deps.sockets.connect(route.dial)
    return connected(socket, route.dial, deps.settings.connectTimeoutMs, signal)
  }
  const { stream } = await deps.pool.open(
    {
      sourceIdentity: identityUri(workloadIdentity(source)),
      svid: () => svidOf(deps.svids, source),
      destinationIdentities: route.expectedIdentities,
      address: route.dial.address,
      port: route.dial.port,
      sourceAddress: accepted.source.address,
    },
    {
      authority: route.authority,
      headers: {
        baggage: encodeBaggage(workloadBaggage(source)),
        forwarded: formatForwarded(formatSocketAddress(accepted.source), route.service?.hostname),
        traceparent,
      },
    },
    signal,
  )
  return stream
}

/** Our own certificate; its absence is an identity error, not a connect error. */
export async function svidOf(svids: SvidManager, workload: Workload): Promise<Svid> {
  try {
    return await svids.get(workloadIdentity(workload))
  } catch (error) {
    throw new ProxyError('identity', `identity error: ${errorText(error)}`, { cause: error })
  }
}
