import { addressFamily, formatSocketAddress } from './addresses.ts'
import { authorize } from './authorize.ts'
import { routeOutcome } from './explain.ts'
import { explainEndpoints, type LoadBalanceChoice } from './explain-endpoints.ts'
import type { ExplainedArrival, ExplainedRoute, Explanation } from './explanation.ts'
import { type Hairpin, resolveHairpin } from './hairpin.ts'
import { identityUri, workloadIdentity } from './identity.ts'
import { resolveInbound } from './inbound.ts'
import type { LoadBalanceListener } from './load-balancer.ts'
import type { MeshView } from './mesh-view.ts'
import type { Identity, Workload } from './model.ts'
import { serviceKey } from './names.ts'
import { resolveOutbound } from './resolve.ts'
import type { Route, RouteStep, SocketAddress } from './route.ts'
import { HBONE_PORT } from './routes.ts'
import { findUpstream } from './upstream.ts'
import type { Verdict } from './verdict.ts'

export interface ExplainInput {
  readonly source: Workload
  readonly destination: SocketAddress
  /** The NETWORK setting. */
  readonly network: string
  /** The WAYPOINT_ENFORCEMENT setting, taken to be the destination's too. */
  readonly enforcement: 'hairpin' | 'off'
  /** 0 ≤ x < 1. */
  readonly random: () => number
  /** Ports on which a proxy itself listens. */
  readonly illegalPorts: ReadonlySet<number>
}

/** Explains a connection that is not made: by the very functions that decide about those that are. Pure. */
export function explainConnection(mesh: MeshView, input: ExplainInput): Explanation {
  const { source, destination } = input
  const choices: LoadBalanceChoice[] = []
  const onLoadBalance: LoadBalanceListener = (balanced, result) =>
    void choices.push(explainEndpoints(mesh, balanced, result))
  const common = {
    source: {
      workload: source.uid,
      identity: identityUri(workloadIdentity(source)),
      node: source.node,
    },
    destination: formatSocketAddress(destination),
    choices,
  }
  if (source.tunnelProtocol !== 'HBONE') {
    const arrival = plaintextArrival(mesh, input, onLoadBalance)
    const note = `${source.uid} is not in the mesh: no proxy sees what it sends, and it proves no identity`
    if (arrival === undefined) return { ...common, notes: [note] }
    return { ...common, arrival, notes: [note, ...unknownPolicyNotes(mesh, arrival)] }
  }
  const route = resolveOutbound(mesh, { ...input, onLoadBalance })
  const notes = [...sourceNotes(source), ...routeNotes(route)]
  const arrival = tunnelArrival(mesh, input, route)
  const policyNotes = arrival === undefined ? [] : unknownPolicyNotes(mesh, arrival)
  return {
    ...common,
    route: explainedRoute(route),
    ...(arrival === undefined ? {} : { arrival }),
    notes: [...notes, ...policyNotes],
  }
}

function explainedRoute(route: Route): ExplainedRoute {
  const { kind, steps, service, workload } = route
  return {
    kind,
    steps,
    outcome: routeOutcome(route),
    ...(service === undefined ? {} : { service: serviceKey(service) }),
    ...(workload === undefined ? {} : { workload: workload.uid }),
    ...('dial' in route ? { dial: formatSocketAddress(route.dial) } : {}),
    ...('authority' in route
      ? { authority: route.authority, expectedIdentities: route.expectedIdentities }
      : {}),
    ...('innerIdentities' in route ? { innerIdentities: route.innerIdentities } : {}),
  }
}

function sourceNotes({ uid, nativeTunnel }: Workload): readonly string[] {
  return nativeTunnel ? [`${uid} routes by itself (a sidecar): it may choose otherwise than a ztunnel`] : []
}

function routeNotes(route: Route): readonly string[] {
  switch (route.kind) {
    case 'tcp':
      return [
        'the destination is not in the mesh: nothing is encrypted, and no policy of the mesh is enforced',
      ]
    case 'passthrough':
      return ['the destination is not of this mesh: nothing is encrypted, and no policy is enforced']
    case 'double-hbone':
      return ['which workload of the other network takes it, and what that one allows, is decided there']
    case 'hbone':
      return route.via === 'waypoint' ? ['the waypoint decides what follows, with policies of its own'] : []
    case 'refused':
      return []
  }
}

/** A policy that is not there protects nothing: the one thing about policies that no tree shows. */
function unknownPolicyNotes(mesh: MeshView, { workload: uid }: ExplainedArrival): readonly string[] {
  const workload = mesh.workload(uid)
  const unknown = workload === undefined ? [] : mesh.unknownPolicies(workload)
  return unknown.map(
    (name) => `${uid} lists the policy ${name}, which the control plane has not sent: it is taken as absent`,
  )
}

/** The far end of a tunnel that this proxy knows. */
function tunnelArrival(mesh: MeshView, input: ExplainInput, route: Route): ExplainedArrival | undefined {
  if (route.kind !== 'hbone' || route.workload === undefined || route.dns !== undefined) return undefined
  const { workload, dial, service } = route
  const inbound = resolveInbound(mesh, {
    workload,
    connectionDestination: { address: dial.address, port: HBONE_PORT },
    authority: splitAuthority(route.authority),
    network: input.network,
    forwardedHost: service?.hostname,
    illegalPorts: input.illegalPorts,
  })
  const identity = workloadIdentity(input.source)
  if (inbound.kind === 'accepted') {
    return arrivalAt(mesh, input, { workload, destination: inbound.upstream, identity, steps: inbound.steps })
  }
  const arrival = arrivalAt(mesh, input, { workload, destination: dial, identity, steps: inbound.steps })
  return { ...arrival, outcome: `refused with status ${inbound.status}: ${inbound.message}` }
}

/** What reaches a captured workload without a tunnel, where the cluster's own balancing leads. */
function plaintextArrival(
  mesh: MeshView,
  { source, destination, ...input }: ExplainInput,
  onLoadBalance: LoadBalanceListener,
): ExplainedArrival | undefined {
  const found = findUpstream(
    mesh,
    { network: source.network, address: destination.address },
    {
      source,
      port: destination.port,
      requested: destination.address,
      resolution: 'standard',
      random: input.random,
      onLoadBalance,
    },
  )
  if (found.kind !== 'found' || found.upstream.dial.kind !== 'address') return undefined
  const { workload, dial, port } = found.upstream
  if (workload.tunnelProtocol !== 'HBONE') return undefined
  const at = {
    workload,
    destination: { address: dial.address, port },
    identity: undefined,
    steps: [{ step: 'plaintext', detail: `reaches ${workload.uid} on port ${port} without a tunnel` }],
  }
  return arrivalAt(mesh, { source, destination, ...input }, at)
}

interface At {
  readonly workload: Workload
  readonly destination: SocketAddress
  readonly identity: Identity | undefined
  readonly steps: readonly RouteStep[]
}

function arrivalAt(
  mesh: MeshView,
  { source, network, enforcement, random }: ExplainInput,
  { workload, destination, identity, steps }: At,
): ExplainedArrival {
  const sourceAddress = addressOf(source, destination.address)
  const context = {
    sourceIdentity: identity,
    sourceAddress,
    destinationAddress: destination.address,
    destinationPort: destination.port,
  }
  const verdict = authorize(mesh.policiesFor(workload), context)
  const hairpin = resolveHairpin(mesh, {
    workload,
    destination,
    client: { address: sourceAddress, identity, otherNetwork: false, hairpinned: false },
    network,
    enforcement,
    random,
  })
  const { sourceIdentity: _identity, ...addresses } = context
  return {
    workload: workload.uid,
    enforcedBy: workload.nativeTunnel
      ? 'itself: it ends HBONE on its own'
      : `the ztunnel of ${workload.node}`,
    context: { ...(identity === undefined ? {} : { sourceIdentity: identityUri(identity) }), ...addresses },
    steps,
    verdict: explainedVerdict(verdict),
    onward: verdict.allowed ? hairpin.steps : [],
    outcome: verdict.allowed ? onwardOutcome(hairpin, destination) : 'refused by policy',
  }
}

function explainedVerdict({
  policy,
  rule,
  dryRun: _inPolicies,
  tree,
  ...verdict
}: Verdict): ExplainedArrival['verdict'] {
  return {
    ...verdict,
    ...(policy === undefined ? {} : { policy }),
    ...(rule === undefined ? {} : { rule }),
    policies: tree(),
  }
}

function onwardOutcome(hairpin: Hairpin, destination: SocketAddress): string {
  switch (hairpin.kind) {
    case 'direct':
      return `reaches the application at ${formatSocketAddress(destination)}`
    case 'waypoint':
      return `is sent to the workload's waypoint at ${formatSocketAddress(hairpin.route.dial)}`
    case 'refused':
      return `refused: ${hairpin.message}`
  }
}

/** The client's address as the destination sees it: of the same family where there is one. */
function addressOf({ addresses }: Workload, like: string): string {
  const family = addressFamily(like)
  return addresses.find((address) => addressFamily(address) === family) ?? addresses[0] ?? ''
}

function splitAuthority(authority: string): { host: string; port: number } {
  const colon = authority.lastIndexOf(':')
  return { host: authority.slice(0, colon), port: Number(authority.slice(colon + 1)) }
}
