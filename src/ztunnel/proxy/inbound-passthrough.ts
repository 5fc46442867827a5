import {
  formatSocketAddress,
  guessService,
  type Hairpin,
  type PolicyContext,
  type Workload,
} from '../../mesh/index.ts'
import type { ConnectionInfo } from '../../telemetry/index.ts'
import { errorText, ProxyError } from '../errors.ts'
import { illegalPorts } from '../settings.ts'
import type { CapturedSocket } from './capture-listener.ts'
import { connected } from './dial.ts'
import { dialWaypoint, type HairpinDependencies, hairpinOf, waypointInfo } from './hairpin.ts'
import type { ConnectionHandler, ConnectionOutcome } from './handler.ts'
import type { LocalWorkload } from './local-workload.ts'
import {
  type Planned,
  type RelayDependencies,
  type RelayPlan,
  relayPlanned,
  withoutIdleSteps,
} from './relay.ts'
import type { SocketFactory } from './socket-factory.ts'
import type { WorkloadPolicies } from './workload-policies.ts'

export interface InboundDependencies extends RelayDependencies, HairpinDependencies {
  readonly local: LocalWorkload
  readonly sockets: SocketFactory
  readonly policies: WorkloadPolicies
  /** Whether the application can be shown the client's address: IP_TRANSPARENT was granted to the listener. */
  readonly transparent: boolean
}

/**
 * Handles plaintext that reaches a workload (15006): no identity is proven, so
 * policies see none; what passes goes to the destination that the client
 * dialled, or to the workload's waypoint if it has one.
 */
export function passthroughHandler(deps: InboundDependencies): ConnectionHandler<CapturedSocket> {
  const illegal = illegalPorts(deps.settings)
  return (accepted) => relayPlanned(deps, planned(deps, accepted, illegal))
}

async function planned(
  deps: InboundDependencies,
  accepted: CapturedSocket,
  illegal: ReadonlySet<number>,
): Promise<Planned> {
  try {
    if (illegal.has(accepted.destination.port)) throw new Error('attempted recursive call to ourselves')
    return await planOf(deps, accepted, await deps.local.get())
  } catch (error) {
    return turnAway(deps, accepted, errorText(error))
  }
}

function turnAway(
  { telemetry }: InboundDependencies,
  { socket, source, destination }: CapturedSocket,
  error: string,
): ConnectionOutcome {
  socket.destroy()
  telemetry.rejectedEarly({
    sourceAddress: formatSocketAddress(source),
    destinationAddress: formatSocketAddress(destination),
    direction: 'inbound',
    error,
  })
  return { kind: 'failed', flag: 'CONNECT', error }
}

async function planOf(
  deps: InboundDependencies,
  accepted: CapturedSocket,
  workload: Workload,
): Promise<RelayPlan> {
  const { settings } = deps
  const { source, destination } = accepted
  const context: PolicyContext = {
    sourceIdentity: undefined,
    sourceAddress: source.address,
    destinationAddress: destination.address,
    destinationPort: destination.port,
  }
  const arrival = { workload, destination, client: source, identity: undefined, headers: {} }
  const hairpin = withoutIdleSteps(deps, await hairpinOf(deps, arrival))
  return {
    info: connectionInfo(deps, accepted, workload, hairpin),
    originalDestination: formatSocketAddress(destination),
    actualDestination: waypointInfo(hairpin).waypoint ?? formatSocketAddress(destination),
    policy: { context, judge: () => deps.policies.judge(workload, context) },
    connect: async (dialSignal) => {
      if (hairpin.kind === 'refused') throw new ProxyError('waypoint', hairpin.message)
      if (hairpin.kind === 'waypoint') {
        const upstream = await dialWaypoint(deps, hairpin.route, arrival, dialSignal)
        return { downstream: accepted.socket, upstream }
      }
      const socket = deps.sockets.connect(destination, deps.transparent ? source.address : undefined)
      const upstream = await connected(socket, destination, settings.connectTimeoutMs, dialSignal)
      return { downstream: accepted.socket, upstream }
    },
    fail: () => accepted.socket.destroy(),
  }
}

/** The source is looked up by address, for labels only: nothing was proven. */
function connectionInfo(
  { mesh, settings }: InboundDependencies,
  { source, destination }: CapturedSocket,
  workload: Workload,
  hairpin: Hairpin,
): Omit<ConnectionInfo, 'counts'> {
  const peer = mesh.workloadByAddress({ network: settings.network, address: source.address })
  const service = guessService(mesh, workload, destination.port, undefined)
  return {
    direction: 'inbound',
    source: { address: formatSocketAddress(source), ...(peer === undefined ? {} : { workload: peer }) },
    destination: {
      address: formatSocketAddress(destination),
      workload,
      ...(service === undefined ? {} : { service }),
    },
    secure: false,
    steps: hairpin.steps,
    ...waypointInfo(hairpin),
  }
}
