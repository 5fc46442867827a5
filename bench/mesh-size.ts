// What the size of the mesh costs one node proxy: to take it in, and then per
// connection. A connection's cost should not depend on the size.
import { authorize, MeshStore, resolveOutbound } from '../src/mesh/index.ts'
import type { MeshChange } from '../src/mesh/mesh-change.ts'
import { aMatch, aPolicy, aPort, aService, aWorkload } from '../src/mesh/test-support.ts'

const SIZES = [100, 10_000, 100_000]
/** Workloads behind one service. */
const PER_SERVICE = 10
const CONNECTIONS = 200_000

const rows = SIZES.map((size) => {
  const changes = mesh(size)
  globalThis.gc?.()
  const heapBefore = process.memoryUsage().heapUsed
  const began = performance.now()
  const store = new MeshStore()
  store.apply(changes)
  const applyMs = performance.now() - began
  globalThis.gc?.()
  const heapMb = (process.memoryUsage().heapUsed - heapBefore) / 1024 ** 2
  return { size, applyMs, heapMb, ...perConnection(store, size) }
})

process.stdout.write(
  '| workloads | apply | heap | route, service VIP | route, pod IP | verdict |\n|---|---|---|---|---|---|\n',
)
for (const { size, applyMs, heapMb, vipUs, podUs, verdictUs } of rows) {
  process.stdout.write(
    `| ${size} | ${applyMs.toFixed(0)} ms | ${heapMb.toFixed(1)} MB | ${vipUs.toFixed(2)} µs | ${podUs.toFixed(2)} µs | ${verdictUs.toFixed(2)} µs |\n`,
  )
}

process.stdout.write('\n| policies | apply to the workload | apply | verdict |\n|---|---|---|---|\n')
for (const { total, own } of [
  { total: 10, own: 10 },
  { total: 10_000, own: 10 },
  { total: 10_000, own: 10_000 },
]) {
  const { applyMs, verdictUs } = withPolicies(total, own)
  process.stdout.write(`| ${total} | ${own} | ${applyMs.toFixed(0)} ms | ${verdictUs.toFixed(2)} µs |\n`)
}

/** ALLOW policies with a selector, each for another client; the last that the workload has is the one that matches. */
function withPolicies(total: number, own: number): { applyMs: number; verdictUs: number } {
  const store = new MeshStore()
  const names = Array.from({ length: total }, (_, i) => `p${i}`)
  const changes: MeshChange[] = names.map((name, i) => ({
    kind: 'upsert-policy',
    policy: aPolicy({
      name,
      rules: [
        [[aMatch({ principals: [{ kind: 'exact', value: `cluster.local/ns/default/sa/client-${i}` }] })]],
      ],
    }),
  }))
  const workload = aWorkload({ authorizationPolicies: names.slice(0, own).map((name) => `default/${name}`) })
  changes.push({ kind: 'upsert-workload', workload })
  const began = performance.now()
  store.apply(changes)
  const applyMs = performance.now() - began
  const connection = {
    sourceIdentity: {
      trustDomain: 'cluster.local',
      namespace: 'default',
      serviceAccount: `client-${own - 1}`,
    },
    sourceAddress: '10.0.0.1',
    destinationAddress: '10.0.0.2',
    destinationPort: 8080,
  }
  if (!authorize(store.policiesFor(workload), connection).allowed)
    throw new Error('the last policy must allow it')
  const rounds = Math.max(200, CONNECTIONS / own)
  return {
    applyMs,
    verdictUs: microseconds(() => authorize(store.policiesFor(workload), connection), rounds),
  }
}

function perConnection(store: MeshStore, size: number): { vipUs: number; podUs: number; verdictUs: number } {
  const source = store.workload(uid(0))
  if (source === undefined) throw new Error('the mesh has no first workload')
  const route = (address: string, port: number): unknown =>
    resolveOutbound(store, {
      source,
      destination: { address, port },
      network: '',
      random: Math.random,
      illegalPorts: new Set([15001, 15006, 15008]),
    })
  const verdict = (): unknown =>
    authorize(store.policiesFor(source), {
      sourceIdentity: { trustDomain: 'cluster.local', namespace: 'default', serviceAccount: 'w1' },
      sourceAddress: '10.0.0.1',
      destinationAddress: '10.0.0.2',
      destinationPort: 8080,
    })
  const services = Math.max(1, size / PER_SERVICE)
  return {
    vipUs: microseconds((i) => route(address(96, i % services), 80)),
    podUs: microseconds((i) => route(address(10, i % size), 8080)),
    verdictUs: microseconds(verdict),
  }
}

/** Mean of many, after a warm-up. */
function microseconds(run: (index: number) => unknown, rounds = CONNECTIONS): number {
  for (let i = 0; i < rounds / 10; i++) run(i * 7919)
  const began = performance.now()
  for (let i = 0; i < rounds; i++) run(i * 7919)
  return ((performance.now() - began) * 1000) / rounds
}

function mesh(size: number): MeshChange[] {
  const changes: MeshChange[] = []
  for (let i = 0; i < Math.max(1, size / PER_SERVICE); i++) {
    const service = aService({
      name: `s${i}`,
      hostname: `s${i}.default.svc.cluster.local`,
      addresses: [{ network: '', address: address(96, i) }],
    })
    changes.push({ kind: 'upsert-service', service })
  }
  for (let i = 0; i < size; i++) {
    const key = `default/s${Math.floor(i / PER_SERVICE)}.default.svc.cluster.local` as const
    const workload = aWorkload({
      uid: uid(i),
      name: `w${i}`,
      serviceAccount: `w${i % 100}`,
      addresses: [address(10, i)],
      services: new Map([[key, [aPort(80, 8080)]]]),
    })
    changes.push({ kind: 'upsert-workload', workload })
  }
  return changes
}

function uid(index: number): string {
  return `Kubernetes//Pod/default/w${index}`
}

function address(first: number, index: number): string {
  return `${first}.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`
}
