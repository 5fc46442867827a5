import { formatAuthority, type HboneRequest } from '../hbone/index.ts'
import type { WaypointPolicyContext } from '../mesh/http/index.ts'
import {
  canonicalAddress,
  formatSocketAddress,
  identityUri,
  isAddress,
  type PolicyContext,
  type ServiceKey,
  serviceKey,
  type WaypointTarget,
  type Workload,
  workloadIdentity,
} from '../mesh/index.ts'
import type { ConnectionInfo } from '../telemetry/index.ts'
import type { Client } from './client.ts'
import type { OpenRoute } from './upstream.ts'

/** What a waypoint serves, and was asked for. */
export type ServedTarget = Exclude<WaypointTarget, { kind: 'refused' }>

/** What policies see of a connection, and which are to be asked. */
export interface ArrivalContext extends WaypointPolicyContext {
  /** Undefined for what is addressed to a pod. */
  readonly service: ServiceKey | undefined
}

/** A CONNECT that the waypoint takes. */
export interface Arrival {
  readonly request: HboneRequest
  /** The waypoint's own workload. */
  readonly waypoint: Workload
  readonly target: ServedTarget
  readonly client: Client
  /** What policies see of it, whatever is spoken in it. */
  readonly context: ArrivalContext
}

/** Puts one together. */
export function arrivalOf(
  request: HboneRequest,
  waypoint: Workload,
  target: ServedTarget,
  client: Client,
): Arrival {
  const context = {
    sourceIdentity: client.identity,
    sourceAddress: client.source.address,
    destinationAddress: requestedAddress(request) ?? addressOf(target),
    destinationPort: target.port,
    service: target.kind === 'service' ? serviceKey(target.service) : undefined,
  }
  return { request, waypoint, target, client, context }
}

/** The address that the client asked for, canonical; undefined when it named a host. */
export function requestedAddress({ authority }: HboneRequest): string | undefined {
  return isAddress(authority.host) ? canonicalAddress(authority.host) : undefined
}

/** Whether a context is a waypoint's. */
export function isArrivalContext(context: PolicyContext): context is ArrivalContext {
  return 'service' in context
}

/** How the access log and the metrics call both ends; `route` is where it went, as far as that is known. */
export function connectionInfo(
  { request, client, target, waypoint }: Arrival,
  route: OpenRoute | undefined,
  traceId: string | undefined,
): Omit<ConnectionInfo, 'counts'> {
  const { workload, baggage, identity } = client
  const destination = route?.workload ?? (target.kind === 'workload' ? target.workload : undefined)
  return {
    direction: 'inbound',
    reporter: 'waypoint',
    source: {
      address: formatSocketAddress(client.source),
      ...(workload === undefined ? {} : { workload }),
      ...(baggage === undefined ? {} : { baggage }),
      ...(identity === undefined ? {} : { identity: identityUri(identity) }),
    },
    destination: {
      address: formatSocketAddress(request.local),
      hboneAddress: formatAuthority(request.authority),
      ...(target.service === undefined ? {} : { service: target.service }),
      ...(destination === undefined
        ? {}
        : { workload: destination, identity: identityUri(workloadIdentity(destination)) }),
    },
    secure: identity !== undefined,
    ...(traceId === undefined ? {} : { traceId }),
    steps: [...target.steps, ...(route?.steps ?? [])],
    waypoint: `${waypoint.namespace}/${waypoint.name}`,
  }
}

function addressOf(target: ServedTarget): string {
  return target.kind === 'workload' ? target.address : (target.service.addresses[0]?.address ?? '')
}
