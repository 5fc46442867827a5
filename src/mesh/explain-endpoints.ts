import {
  isUsable,
  type LoadBalanceInput,
  type LoadBalanceResult,
  preferEndpoints,
  targetPort,
} from './load-balancer.ts'
import type { Endpoint, MeshView } from './mesh-view.ts'
import type { Workload } from './model.ts'
import { serviceKey } from './names.ts'

/** An endpoint of a service as a load balancer saw it. */
export interface EndpointCandidate {
  /** Its uid. */
  readonly workload: string
  /** `namespace/name` */
  readonly name: string
  readonly addresses: readonly string[]
  /** Of its own, behind the port that was asked for; absent when there is none. */
  readonly port?: number
  readonly node: string
  readonly status: 'chosen' | 'possible' | 'excluded'
  /** Why, for the operator. */
  readonly reason: string
  /** Of new connections, 0 to 1. */
  readonly share: number
}

/** One choice on the way of a connection. */
export interface LoadBalanceChoice {
  /** `namespace/hostname` */
  readonly service: string
  readonly port: number
  readonly mode: string
  /** Chosen ones first, then possible ones, then excluded ones. */
  readonly candidates: readonly EndpointCandidate[]
}

/**
 * All endpoints of a service, and why each was chosen, might have been, or
 * could not be, by the same rules as the choice itself. Looks at every
 * workload for those that the service's health policy hides: not for the data
 * path.
 */
export function explainEndpoints(
  mesh: MeshView,
  input: LoadBalanceInput,
  result: LoadBalanceResult,
): LoadBalanceChoice {
  const { service, endpoints, port } = input
  const listed = service.ports.find(({ servicePort }) => servicePort === port)
  const usable =
    listed === undefined && input.resolution === 'standard'
      ? []
      : endpoints.filter((endpoint) => isUsable(endpoint, listed, input))
  const preferred = preferEndpoints(usable, input)
  const total = preferred.reduce((sum, { workload }) => sum + workload.capacity, 0)
  const chosen = result.kind === 'chosen' ? result.workload.uid : undefined
  const candidates = endpoints.map((endpoint): EndpointCandidate => {
    const { workload } = endpoint
    const target = targetPort(endpoint, listed, port)
    const share = preferred.includes(endpoint) && total > 0 ? workload.capacity / total : 0
    return {
      ...described(workload),
      ...(target === undefined ? {} : { port: target }),
      status: workload.uid === chosen ? 'chosen' : share > 0 ? 'possible' : 'excluded',
      reason: reasonOf(endpoint, input, { usable, preferred }),
      share,
    }
  })
  const rank = { chosen: 0, possible: 1, excluded: 2 }
  return {
    service: serviceKey(service),
    port,
    mode: service.loadBalancing.mode,
    candidates: [...candidates, ...hidden(mesh, input)].toSorted(
      (a, b) => rank[a.status] - rank[b.status] || (a.name < b.name ? -1 : 1),
    ),
  }
}

function reasonOf(
  endpoint: Endpoint,
  { service, source, port }: LoadBalanceInput,
  { usable, preferred }: { usable: readonly Endpoint[]; preferred: readonly Endpoint[] },
): string {
  const { workload } = endpoint
  if (!usable.includes(endpoint)) {
    const unreachable = workload.addresses.length === 0 && workload.hostname === ''
    return unreachable ? 'it has neither an address nor a hostname' : `it has no port behind ${port}`
  }
  const { mode, routingPreference } = service.loadBalancing
  if (!preferred.includes(endpoint)) {
    const scopes = routingPreference.join(', ')
    return mode === 'STRICT'
      ? `not in the client's ${scopes}, which mode STRICT demands`
      : `others are closer to the client by ${scopes}`
  }
  if (workload.capacity === 0) return 'its weight is 0'
  const far = workload.network === source.network ? '' : `, in network "${workload.network}"`
  return `healthy enough, weight ${workload.capacity}${far}`
}

/** Those that would be endpoints if they were healthy. */
function hidden(mesh: MeshView, { service, endpoints }: LoadBalanceInput): readonly EndpointCandidate[] {
  const shown = new Set(endpoints.map(({ workload }) => workload.uid))
  const key = serviceKey(service)
  const found: EndpointCandidate[] = []
  for (const workload of mesh.workloads()) {
    if (!workload.services.has(key) || shown.has(workload.uid)) continue
    found.push({ ...described(workload), status: 'excluded', reason: 'it is not healthy', share: 0 })
  }
  return found
}

function described({ uid, namespace, name, addresses, node }: Workload) {
  return { workload: uid, name: `${namespace}/${name}`, addresses, node }
}
