import type { Target } from './mesh-lab.ts'
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
  /** One small HTTP request and its answer. */
  | { readonly kind: 'http' }
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
}

const GIBIBYTE = 1024 ** 3
/** More than any buffer on the way holds, so that the half-close really comes behind data. */
const HALF_CLOSE_BYTES = 1_000_000

const [A, B, D] = ['ztunnel@node-a', 'ztunnel@node-b', 'ztunnel@node-d']
const BAR_SIDECAR = 'sidecar@bar/httpbin'
const LEGACY_SIDECAR = 'sidecar@bar/httpbin-legacy'
const FOO_SIDECAR = 'sidecar@foo/sleep-sidecar'
const ALLOW_SLEEP = 'bar-1/httpbin-allow-sleep'
const DENY_WEB = 'bar-2/deny-foo-web'

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
  http('sidecar-to-ambient', '2: sidecar → ambient', 'foo/sleep-sidecar', service('bar-2/helloworld'), {
    ...proven('foo/sleep-sidecar', 'bar-2/helloworld'),
    hops: [FOO_SIDECAR, D],
  }),
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
  http('uncaptured-to-ambient', 'not in the mesh → ambient', 'plain/client', pod('bar-2/helloworld'), {
    ...unproven(),
    hops: [D],
  }),
  http('ambient-to-outside', 'ambient → outside', 'foo/sleep', pod('outside'), { ...unproven(), hops: [A] }),
  http('denied-by-policy', 'denied by name', 'foo/web', service('bar-2/helloworld'), {
    ...proven('foo/web', 'bar-2/helloworld', DENY_WEB),
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
    target: service('bar-2/helloworld'),
    traffic: { kind: 'download', bytes: GIBIBYTE },
    expected: { ...proven('foo/sleep', 'bar-2/helloworld'), hops: [A, D] },
  },
]

/** Those whose pods and policies exist: all of them, unless the lab runs someone's own manifests. */
export function scenariosFor({ pods, services, policies, outside }: Topology): readonly Scenario[] {
  return COEXISTENCE.filter(({ from, target, expected }) => {
    if (expected.policy !== undefined && !policies.includes(expected.policy)) return false
    const clientIsThere = pods.some(({ id }) => id === from)
    if (target.to === outside.name) return clientIsThere
    const podIsThere = pods.some(({ id, ports }) => id === target.to && ports[target.port] !== undefined)
    const serviceIsThere = services.some(({ namespace, name }) => `${namespace}/${name}` === target.to)
    return clientIsThere && podIsThere && (target.by === 'pod' || serviceIsThere)
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

/** In the lab each pod has a service account of its own name. */
function spiffe(workload: string): string {
  const [namespace, name] = workload.split('/')
  return `spiffe://cluster.local/ns/${namespace}/sa/${name}`
}
