import { addressFamily, formatHostPort, formatSocketAddress, isAddress } from './addresses.ts'
import { identityUri, workloadIdentity } from './identity.ts'
import type { Service, Workload } from './model.ts'
import { serviceKey } from './names.ts'
import type { DnsTarget, Route, RouteRefusal, RouteStep, SocketAddress } from './route.ts'
import type { Upstream } from './upstream.ts'

/** Every HBONE endpoint listens here (wire/ztunnel 3.10). */
export const HBONE_PORT = 15_008

/** A route whose workload has only a hostname. */
export type UnresolvedRoute = Extract<Route, { kind: 'hbone' | 'double-hbone' | 'tcp' }>

/** HBONE to a waypoint, which is asked for the address that the client dialled (wire/ztunnel 3.5, 3.10). */
export function waypointRoute(
  steps: RouteStep[],
  waypoint: Upstream,
  service: Service | undefined,
  destination: SocketAddress,
): Route {
  const target = dialTarget(waypoint, waypoint.port, destination.address)
  if (target === undefined) return noDestination(steps, service, waypoint.workload)
  const authority = formatSocketAddress(destination)
  steps.push({
    step: 'destination',
    detail: `HBONE to waypoint ${formatSocketAddress(target.dial)} for ${authority}`,
  })
  return {
    kind: 'hbone',
    steps,
    service,
    workload: waypoint.workload,
    ...target,
    authority,
    expectedIdentities: expectedIdentities(waypoint),
    via: 'waypoint',
  }
}

/** HBONE or plain TCP to the endpoint itself, as it speaks (wire/ztunnel 3.10). `requested` is the address that the client dialled. */
export function endpointRoute(
  steps: RouteStep[],
  upstream: Upstream,
  asked: Service | undefined,
  requested: string,
): Route {
  const { workload, port } = upstream
  const service = asked ?? upstream.service
  const hbone = workload.tunnelProtocol === 'HBONE'
  const target = dialTarget(upstream, hbone ? HBONE_PORT : port, requested)
  if (target === undefined) return noDestination(steps, service, workload)
  if (!hbone) {
    steps.push({ step: 'destination', detail: `plain TCP to ${formatSocketAddress(target.dial)}: no tunnel` })
    return { kind: 'tcp', steps, service, workload, ...target }
  }
  const authority = formatHostPort(target.dial.address, port)
  steps.push({ step: 'destination', detail: `HBONE to ${formatSocketAddress(target.dial)} for ${authority}` })
  return {
    kind: 'hbone',
    steps,
    service,
    workload,
    dial: target.dial,
    authority,
    expectedIdentities: expectedIdentities(upstream),
    via: 'endpoint',
    ...(target.dns === undefined ? {} : { dns: { ...target.dns, authorityPort: port } }),
  }
}

/**
 * Double HBONE through a network gateway to `upstream`, a workload of another
 * network: which of its instances takes the connection is decided there
 * (wire/ztunnel 3.9). So only the service can say who may answer.
 */
export function gatewayRoute(
  steps: RouteStep[],
  gateway: Upstream,
  upstream: Upstream,
  service: Service,
  destination: SocketAddress,
): Route {
  const innerIdentities = upstream.service?.subjectAltNames ?? []
  if (innerIdentities.length === 0) {
    const name = serviceKey(upstream.service ?? service)
    const message = `no identity to expect of ${name} in network "${upstream.workload.network}": the service has no subjectAltNames, and behind a gateway any of its workloads may answer`
    return refusedRoute(steps, 'no-service-identities', message, service, gateway.workload)
  }
  const target = dialTarget(gateway, gateway.port, destination.address)
  if (target === undefined) return noDestination(steps, gateway.service, gateway.workload)
  const authority = formatHostPort(service.hostname, destination.port)
  steps.push({
    step: 'destination',
    detail: `HBONE to gateway ${formatSocketAddress(target.dial)}, and HBONE within it for ${authority}`,
  })
  return {
    kind: 'double-hbone',
    steps,
    service,
    workload: gateway.workload,
    ...target,
    authority,
    expectedIdentities: expectedIdentities(gateway),
    innerIdentities,
  }
}

/** Plain TCP to where the client wanted to go. */
export function passthroughRoute(steps: readonly RouteStep[], dial: SocketAddress): Route {
  return { kind: 'passthrough', steps, service: undefined, workload: undefined, dial }
}

/** A connection that must not be made. */
export function refusedRoute(
  steps: readonly RouteStep[],
  code: RouteRefusal,
  message: string,
  service?: Service,
  workload?: Workload,
): Route {
  return { kind: 'refused', steps, service, workload, code, message }
}

/**
 * Completes a route that has `dns` with the answer for its hostname: an address
 * of the client's family if there is one, at random (wire/ztunnel 3.13).
 * Refused (`no-valid-destination`) when there is none.
 */
export function withResolvedAddress(
  route: UnresolvedRoute,
  answers: readonly string[],
  random: () => number,
): Route {
  if (route.dns === undefined) return route
  const { dns, ...rest } = route
  const addresses = answers.filter(isAddress)
  const preferred = addresses.filter((address) => addressFamily(address) === dns.family)
  const candidates = preferred.length > 0 ? preferred : addresses
  const address = candidates[Math.floor(random() * candidates.length)]
  if (address === undefined) {
    const uid = route.workload?.uid ?? dns.hostname
    const message =
      answers.length === 0
        ? `no ip addresses were resolved for workload: ${uid}: check that ${dns.hostname} exists in DNS`
        : `ip addresses were resolved for workload ${uid}, but valid dns response had no A/AAAA records`
    return refusedRoute(route.steps, 'no-valid-destination', message, route.service, route.workload)
  }
  const steps = [...route.steps, { step: 'dns', detail: `${dns.hostname} is ${address}` }]
  const dial = { address, port: route.dial.port }
  if (rest.kind !== 'hbone') return { ...rest, steps, dial }
  const { authorityPort } = dns
  const authority = authorityPort === undefined ? rest.authority : formatHostPort(address, authorityPort)
  return { ...rest, steps, dial, authority }
}

function dialTarget(
  { dial }: Upstream,
  port: number,
  requested: string,
): { dial: SocketAddress; dns?: DnsTarget } | undefined {
  switch (dial.kind) {
    case 'address':
      return { dial: { address: dial.address, port } }
    case 'dns':
      return {
        dial: { address: dial.hostname, port },
        dns: { hostname: dial.hostname, family: addressFamily(requested) },
      }
    default:
      return undefined
  }
}

function noDestination(steps: readonly RouteStep[], service: Service | undefined, workload: Workload): Route {
  const families = service === undefined ? '' : ` that ${serviceKey(service)} allows (${service.ipFamilies})`
  const message = `no valid routing destination for workload: ${workload.uid}: it has neither an address${families} nor a hostname`
  return refusedRoute(steps, 'no-valid-destination', message, service, workload)
}

/** The workload's own identity, and those that its service vouches for (wire/ztunnel 3.5, 3.10). */
function expectedIdentities({ service, workload }: Upstream): readonly string[] {
  const own = identityUri(workloadIdentity(workload))
  const others = service?.subjectAltNames ?? []
  return others.length === 0 ? [own] : [...new Set([...others, own])]
}
