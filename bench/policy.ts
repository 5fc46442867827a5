// What a verdict costs in a mesh of many policies, by how they are scoped: what
// bears on a workload is found by its namespace and its list, so that a verdict
// should cost what bears on it and not what there is.
import {
  authorize,
  type MeshChange,
  MeshStore,
  type PolicyContext,
  type Workload,
} from '../src/mesh/index.ts'
import { aMatch, aPolicy, aWorkload } from '../src/mesh/test-support.ts'

const POLICIES = 10_000
/** Each measure takes about twice this, milliseconds. */
const MEASURE_MS = 500
const BATCHES = 50

interface Mix {
  readonly name: string
  /** Scope and namespace of the i-th policy. */
  readonly scoped: (i: number) => Parameters<typeof aPolicy>[0]
  /** Names that the workload lists. */
  readonly listed?: readonly string[]
}

const MIXES: readonly Mix[] = [
  { name: 'none of them bears on the workload', scoped: () => ({ scope: 'NAMESPACE', namespace: 'other' }) },
  {
    name: '1,000 namespaces with 10 each',
    scoped: (i) => ({ scope: 'NAMESPACE', namespace: `n${i % 1000}` }),
  },
  {
    name: 'by selector, 10 of them listed',
    scoped: () => ({ scope: 'WORKLOAD_SELECTOR' }),
    listed: Array.from({ length: 10 }, (_, i) => `n0/p${i}`),
  },
  {
    name: 'mixed: 10 global, 90 namespaces, half by selector (10 listed)',
    scoped: (i) => {
      if (i < 10) return { scope: 'WORKLOAD_SELECTOR' }
      if (i < 20) return { scope: 'GLOBAL' }
      return i % 2 === 0 ? { scope: 'NAMESPACE', namespace: `n${i % 180}` } : { scope: 'WORKLOAD_SELECTOR' }
    },
    listed: Array.from({ length: 10 }, (_, i) => `n0/p${i}`),
  },
  { name: 'all in one namespace', scoped: () => ({ scope: 'NAMESPACE' }) },
  { name: 'all global', scoped: () => ({ scope: 'GLOBAL', namespace: 'root' }) },
]

const FROM: PolicyContext = {
  sourceIdentity: { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' },
  sourceAddress: '10.1.2.3',
  destinationAddress: '10.4.5.6',
  destinationPort: 8080,
}

process.stdout.write(
  '| 10,000 policies | bear on it | verdict, allowed | verdict, plaintext, denied | after a change |\n',
)
process.stdout.write('|---|---|---|---|---|\n')
for (const mix of MIXES) {
  const { store, workload } = mesh(mix)
  const judge = (context: PolicyContext) => (): unknown => authorize(store.policiesFor(workload), context)
  const bearing = store.policiesFor(workload).length
  const allowed = nanoseconds(judge(FROM))
  const denied = nanoseconds(judge({ ...FROM, sourceIdentity: undefined }))
  // One policy that bears on it comes anew, and the next connection pays for finding them all.
  const touched = store.policiesFor(workload)[0] ?? aPolicy({ namespace: 'other' })
  const changed = nanoseconds(() => {
    store.upsertPolicy({ ...touched })
    return judge(FROM)()
  })
  const cells = [mix.name, bearing, ...[allowed, denied, changed].map(inWords)]
  process.stdout.write(`| ${cells.join(' | ')} |\n`)
}

/** Nine in ten are DENY rules for others; the tenth allows the client, so that every policy must be looked at before it. */
function mesh({ scoped, listed = [] }: Mix): { store: MeshStore; workload: Workload } {
  const changes: MeshChange[] = []
  for (let i = 0; i < POLICIES; i++) {
    const other = aMatch({
      principals: [{ kind: 'exact', value: `cluster.local/ns/shop/sa/other-${i}` }],
      destinationPorts: [8080, 9090],
    })
    const block = aMatch({ sourceIps: [`172.16.${(i >> 8) & 255}.0/24`], notNamespaces: [exact('shop')] })
    const client = aMatch({ principals: [exact('cluster.local/ns/shop/sa/web')] })
    const allows = i % 10 === 9
    changes.push({
      kind: 'upsert-policy',
      policy: aPolicy({
        name: `p${i}`,
        namespace: 'n0',
        action: allows ? 'ALLOW' : 'DENY',
        rules: allows ? [[[client]]] : [[[other, block]]],
        ...scoped(i),
      }),
    })
  }
  const store = new MeshStore()
  store.apply(changes)
  const workload = aWorkload({ namespace: 'n0', authorizationPolicies: listed })
  store.upsertWorkload(workload)
  return { store, workload: store.workload(workload.uid) ?? workload }
}

function exact(value: string) {
  return { kind: 'exact', value } as const
}

/** The best of many short batches, after a warm-up: on a busy machine the mean says more of the others. */
function nanoseconds(run: () => unknown): number {
  const warm = performance.now() + MEASURE_MS
  let runs = 0
  for (; performance.now() < warm; runs++) run()
  const batch = Math.max(1, Math.ceil(runs / BATCHES))
  let best = Number.POSITIVE_INFINITY
  for (let i = 0; i < BATCHES; i++) {
    const began = performance.now()
    for (let j = 0; j < batch; j++) run()
    best = Math.min(best, performance.now() - began)
  }
  return (best * 1e6) / batch
}

function inWords(ns: number): string {
  return ns < 10_000 ? `${ns.toFixed(0)} ns` : `${(ns / 1000).toFixed(0)} µs`
}
