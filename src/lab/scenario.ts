import type { Target } from './mesh-lab.ts'
import { waypointName } from './processes.ts'
import type { Topology } from './topology.ts'

/** A connection that the lab makes, and what is to come of it. */
export interface Scenario {
  /** Stable, for tests: `ambient-to-sidecar-hbone`. */
  readonly id: string
  /** What it shows, in a few words. */
  readonly title: string
  readonly from: string
  readonly target: Target
  readonly traffic: Traffic
  readonly expected: Expectation
}

export type Traffic =
  /** Small HTTP requests and their answers: one unless told, one after the other. Path without a query, default `/`. */
  | { readonly kind: 'http'; readonly path?: string; readonly requests?: number }
  /** Greeting, payload of `bytes`, half-close, and only then the answer. */
  | { readonly kind: 'half-close'; readonly bytes: number }
  /** A large download, its SHA-256 compared. */
  | { readonly kind: 'download'; readonly bytes: number }

export interface Expectation {
  readonly wire: 'HBONE' | 'plain'
  readonly verdict: 'allowed' | 'denied'
  /** `namespace/name` of the policy that decides; undefined where none has a say. */
  readonly policy: string | undefined
  /** The proxies that carry it, in order. */
  readonly hops: readonly string[]
  /** SPIFFE ids that the sides prove to each other; undefined where nothing is proven. */
  readonly client: string | undefined
  readonly server: string | undefined
  /** `namespace/name` of the dry-run policies that would have matched; left out where nobody looks for them. */
  readonly dryRun?: readonly string[]
  /** Of what goes through a waypoint; `client` and `server` are then as it has them, hop by hop. */
  readonly waypoint?: WaypointExpectation
}

export interface WaypointExpectation {
  /** The process: `waypoint@bar-2/waypoint`. */
  readonly name: string
  /** SPIFFE id that it proves to those before and behind it. */
  readonly identity: string
  /** HTTP status of every answer; left out for what is not HTTP. */
  readonly status?: number
  /** `HTTPRoute/bar-2/helloworld split`: route and rule; left out where none has a say. */
  readonly route?: string
  /** `namespace/name` of pods: one of them answers, and each of them where there are several requests. */
  readonly backends: readonly string[]
}

const GIBIBYTE = 1024 ** 3
/** More than any buffer on the way holds, so that the half-close really comes behind data. */
const HALF_CLOSE_BYTES = 1_000_000

const [A, B, D] = ['ztunnel@node-a', 'ztunnel@node-b', 'ztunnel@node-d']
const BAR_SIDECAR = 'sidecar@bar/httpbin'
const LEGACY_SIDECAR = 'sidecar@bar/httpbin-legacy'
const FOO_SIDECAR = 'sidecar@foo/sleep-sidecar'
const ALLOW_SLEEP = 'bar-1/httpbin-allow-sleep'
const DENY_WEB = 'bar-3/deny-foo-web'
const WAYPOINT = 'waypoint@bar-2/waypoint'
const HELLOWORLD = spiffe('bar-2/helloworld')
const HELLO = 'bar-2/helloworld'
const VERSIONS = ['bar-2/helloworld-v1', 'bar-2/helloworld-v2']
const ROUTE = 'HTTPRoute/bar-2/helloworld'
/** At 75 to 25, one version is missed once in thirty million times. */
const SPLIT_REQUESTS = 60

/** The connections of `labs/coexistence`: both of its scenarios, and what a mesh must do besides. */
export const COEXISTENCE: readonly Scenario[] = [
  http(
    'ambient-to-sidecar-hbone',
    '1: ambient → sidecar that speaks HBONE',
    'foo/sleep',
    service('bar/httpbin'),
    {
      ...proven('foo/sleep', 'bar/httpbin'),
      hops: [A, BAR_SIDECAR],
    },
  ),
  http(
    'ambient-to-sidecar-legacy',
    '1: ambient → legacy sidecar',
    'foo/sleep',
    service('bar/httpbin-legacy'),
    {
      ...unproven(),
      hops: [A, LEGACY_SIDECAR],
    },
  ),
  http('sidecar-to-ambient-policy', '2: sidecar → ambient', 'foo/sleep-sidecar', service('bar-1/httpbin'), {
    ...proven('foo/sleep-sidecar', 'bar-1/httpbin', ALLOW_SLEEP),
    hops: [FOO_SIDECAR, B],
  }),
  http('sidecar-to-ambient', '2: sidecar → ambient', 'foo/sleep-sidecar', service('bar-3/helloworld'), {
    ...proven('foo/sleep-sidecar', 'bar-3/helloworld'),
    hops: [FOO_SIDECAR, D],
  }),
  http('sidecar-to-waypoint', '2: sidecar → waypoint → ambient', 'foo/sleep-sidecar', service(HELLO), {
    ...behindWaypoint('foo/sleep-sidecar', `${ROUTE} split`),
    hops: [FOO_SIDECAR, WAYPOINT, D],
  }),
  http('ambient-to-waypoint', '2: ambient → waypoint → ambient', 'foo/sleep', service(HELLO), {
    ...behindWaypoint('foo/sleep', `${ROUTE} split`),
    hops: [A, WAYPOINT, D],
  }),
  {
    ...http('waypoint-route', 'L7 route: a path goes to v2', 'foo/sleep', service(HELLO), {
      ...behindWaypoint('foo/sleep', `${ROUTE} preview`, ['bar-2/helloworld-v2']),
      hops: [A, WAYPOINT, D],
    }),
    traffic: { kind: 'http', path: '/v2/hello' },
  },
  {
    ...http('waypoint-split', 'L7 route: 75 : 25, each request by itself', 'foo/sleep', service(HELLO), {
      ...behindWaypoint('foo/sleep', `${ROUTE} split`),
      hops: [A, WAYPOINT, D],
    }),
    traffic: { kind: 'http', requests: SPLIT_REQUESTS },
  },
  {
    id: 'waypoint-tcp',
    title: 'TCP through the waypoint',
    from: 'foo/sleep',
    target: { to: HELLO, by: 'service', port: 'tcp' },
    traffic: { kind: 'half-close', bytes: HALF_CLOSE_BYTES },
    expected: { ...behindWaypoint('foo/sleep', undefined, VERSIONS, 'tcp'), hops: [A, WAYPOINT, D] },
  },
  {
    ...http('waypoint-denied', 'L7 policy of the service', 'foo/sleep', service(HELLO), {
      ...deniedByWaypoint('foo/sleep', 'bar-2/no-reset'),
      hops: [A, WAYPOINT],
    }),
    traffic: { kind: 'http', path: '/reset' },
  },
  {
    ...http('waypoint-denied-sidecar', 'L7 policy of the waypoint', 'foo/sleep-sidecar', service(HELLO), {
      ...deniedByWaypoint('foo/sleep-sidecar', 'bar-2/no-admin'),
      hops: [FOO_SIDECAR, WAYPOINT],
    }),
    traffic: { kind: 'http', path: '/admin' },
  },
  http('hairpin', 'hairpin: dials the pod, not in the mesh', 'plain/client', pod('bar-2/helloworld-v1'), {
    ...behindWaypoint(undefined, undefined, ['bar-2/helloworld-v1']),
    hops: [D, WAYPOINT, D],
  }),
  {
    ...http('hairpin-denied', 'hairpin: meets the same policy', 'plain/client', pod('bar-2/helloworld-v1'), {
      ...deniedByWaypoint(undefined, 'bar-2/no-admin'),
      hops: [D, WAYPOINT],
    }),
    traffic: { kind: 'http', path: '/admin' },
  },
  http('ambient-across-nodes-pod', 'ambient → ambient, across nodes', 'foo/sleep', pod('bar-1/httpbin'), {
    ...proven('foo/sleep', 'bar-1/httpbin', ALLOW_SLEEP),
    hops: [A, B],
  }),
  http('ambient-across-nodes-vip', 'ambient → ambient, across nodes', 'foo/sleep', service('bar-1/httpbin'), {
    ...proven('foo/sleep', 'bar-1/httpbin', ALLOW_SLEEP),
    hops: [A, B],
  }),
  http('ambient-same-node-pod', 'ambient → ambient, on one node', 'foo/sleep', pod('foo/web'), {
    ...proven('foo/sleep', 'foo/web'),
    hops: [A, A],
  }),
  http('ambient-same-node-vip', 'ambient → ambient, on one node', 'foo/sleep', service('foo/web'), {
    ...proven('foo/sleep', 'foo/web'),
    hops: [A, A],
  }),
  http('uncaptured-to-ambient', 'not in the mesh → ambient', 'plain/client', pod('bar-3/helloworld'), {
    ...unproven(),
    hops: [D],
  }),
  http('ambient-to-outside', 'ambient → outside', 'foo/sleep', pod('outside'), { ...unproven(), hops: [A] }),
  http('denied-by-policy', 'denied by name', 'foo/web', service('bar-3/helloworld'), {
    ...proven('foo/web', 'bar-3/helloworld', DENY_WEB),
    verdict: 'denied',
    hops: [A, D],
  }),
  http('denied-without-identity', 'denied: nobody proved an identity', 'plain/client', pod('bar-1/httpbin'), {
    ...unproven(),
    verdict: 'denied',
    hops: [B],
  }),
  {
    id: 'half-close',
    title: 'half-close: answer after FIN',
    from: 'foo/sleep',
    target: { to: 'bar-1/httpbin', by: 'service', port: 'tcp' },
    traffic: { kind: 'half-close', bytes: HALF_CLOSE_BYTES },
    expected: { ...proven('foo/sleep', 'bar-1/httpbin', ALLOW_SLEEP), hops: [A, B] },
  },
  {
    id: 'one-gibibyte',
    title: '1 GiB, SHA-256 compared',
    from: 'foo/sleep',
    target: service('bar-3/helloworld'),
    traffic: { kind: 'download', bytes: GIBIBYTE },
    expected: { ...proven('foo/sleep', 'bar-3/helloworld'), hops: [A, D] },
  },
]

/**
 * What an Envoy in the sidecar's seat makes of the ways through a waypoint: like Istio's sidecars it knows of none and
 * dials a pod, whose ztunnel sends the connection there. Asked for a pod, the waypoint has no route and no policy of a
 * service to go by.
 */
const BY_ENVOY: ReadonlyMap<string, Partial<Expectation>> = new Map([
  [
    'sidecar-to-waypoint',
    {
      ...behindWaypoint('foo/sleep-sidecar', undefined),
      hops: [FOO_SIDECAR, D, WAYPOINT, D],
    },
  ],
  ['waypoint-denied-sidecar', { hops: [FOO_SIDECAR, D, WAYPOINT], server: HELLOWORLD }],
])

/** Those whose pods and policies exist: all of them, unless the lab runs someone's own manifests. */
export function scenariosFor(topology: Topology, sidecarProxy = 'ztunnel'): readonly Scenario[] {
  const { pods, services, policies, outside } = topology
  const present = COEXISTENCE.filter(({ from, target, expected }) => {
    if (expected.policy !== undefined && !policies.includes(expected.policy)) return false
    const clientIsThere = pods.some(({ id }) => id === from)
    if (target.to === outside.name) return clientIsThere
    const { waypoint } = expected
    if (waypoint !== undefined && !pods.some((pod) => waypointName(pod) === waypoint.name)) return false
    const servers = waypoint?.backends ?? [target.to]
    const podIsThere = pods.some(({ id, ports }) => servers.includes(id) && ports[target.port] !== undefined)
    const serviceIsThere = services.some(({ namespace, name }) => `${namespace}/${name}` === target.to)
    return clientIsThere && podIsThere && (target.by === 'pod' || serviceIsThere)
  })
  if (sidecarProxy === 'ztunnel') return present
  return present.map((scenario) => {
    const other = BY_ENVOY.get(scenario.id)
    return other === undefined ? scenario : { ...scenario, expected: { ...scenario.expected, ...other } }
  })
}

function http(id: string, title: string, from: string, target: Target, expected: Expectation): Scenario {
  return { id, title, from, target, traffic: { kind: 'http' }, expected }
}

function service(to: string): Target {
  return { to, by: 'service', port: 'http' }
}

function pod(to: string): Target {
  return { to, by: 'pod', port: 'http' }
}

/** HBONE between two workloads that prove who they are. */
function proven(from: string, to: string, policy?: string): Omit<Expectation, 'hops'> {
  return { wire: 'HBONE', verdict: 'allowed', policy, client: spiffe(from), server: spiffe(to) }
}

function unproven(): Omit<Expectation, 'hops'> {
  return { wire: 'plain', verdict: 'allowed', policy: undefined, client: undefined, server: undefined }
}

/** Let through by the waypoint of bar-2; `from` undefined for who proves nothing and has to be sent there. */
function behindWaypoint(
  from: string | undefined,
  route: string | undefined,
  backends: readonly string[] = VERSIONS,
  port: 'http' | 'tcp' = 'http',
): Omit<Expectation, 'hops'> {
  return {
    wire: from === undefined ? 'plain' : 'HBONE',
    verdict: 'allowed',
    policy: undefined,
    client: from === undefined ? undefined : spiffe(from),
    server: HELLOWORLD,
    waypoint: {
      name: WAYPOINT,
      identity: spiffe('bar-2/waypoint'),
      ...(port === 'tcp' ? {} : { status: 200 }),
      ...(route === undefined ? {} : { route }),
      backends,
    },
  }
}

/** The waypoint itself is the last that the client's side sees. */
function deniedByWaypoint(from: string | undefined, policy: string): Omit<Expectation, 'hops'> {
  const { waypoint, ...allowed } = behindWaypoint(from, undefined, VERSIONS)
  return {
    ...allowed,
    verdict: 'denied',
    policy,
    server: from === undefined ? undefined : spiffe('bar-2/waypoint'),
    ...(waypoint === undefined ? {} : { waypoint: { ...waypoint, status: 403 } }),
  }
}

/** In the lab each pod has a service account of its own name. */
function spiffe(workload: string): string {
  const [namespace, name] = workload.split('/')
  return `spiffe://cluster.local/ns/${namespace}/sa/${name}`
}
