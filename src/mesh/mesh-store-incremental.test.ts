import fc from 'fast-check'
import t from 'tap'
import type { MeshChange } from './mesh-change.ts'
import { MeshStore } from './mesh-store.ts'
import type { Port, ServiceKey } from './model.ts'
import { policyName, serviceKey } from './names.ts'
import { aPolicy, aPort, aService, aWorkload } from './test-support.ts'

// Few names and addresses, so that changes meet.
const UIDS = ['c//Pod/ns/a', 'c//Pod/ns/b', 'c//Pod/ns/c', 'entry/d', 'entry/e']
const ADDRESSES = ['10.0.0.1', '10.0.0.2', 'fd00::1']
const NETWORKS = ['', 'n2']
const NODES = ['', 'n1', 'n2']
const NAMESPACES = ['ns', 'other', '']
const HOSTS = ['x.example', 'y.example']
const CIDRS = ['10.0.0.0/8', '10.0.0.0/31', '10.0.0.2/32', 'fd00::/16']
const POLICIES = ['p', 'q', 'r']
const KEYS: readonly ServiceKey[] = NAMESPACES.flatMap((namespace) =>
  HOSTS.map((hostname): ServiceKey => serviceKey({ namespace, hostname })),
)

const pick = <T>(values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values)
const several = <T>(values: readonly T[]): fc.Arbitrary<T[]> => fc.subarray([...values])
const ports = fc.uniqueArray(
  fc.tuple(pick([80, 81]), pick([0, 8080])).map(([service, target]): Port => aPort(service, target)),
  { selector: ({ servicePort }) => servicePort },
)

const workload = fc
  .record({
    uid: pick(UIDS),
    name: pick(['w1', 'w2']),
    namespace: pick(NAMESPACES),
    serviceAccount: pick(['s1', 's2']),
    addresses: several(ADDRESSES),
    hostname: pick(['', ...HOSTS]),
    network: pick(NETWORKS),
    node: pick(NODES),
    tunnelProtocol: pick(['NONE', 'HBONE'] as const),
    networkMode: pick(['STANDARD', 'HOST_NETWORK'] as const),
    status: pick(['HEALTHY', 'UNHEALTHY'] as const),
    services: fc.array(fc.tuple(pick(KEYS), ports)).map((entries) => new Map(entries)),
    authorizationPolicies: several(POLICIES.map((name) => `ns/${name}`)),
  })
  .map((parts) => aWorkload(parts))
const service = fc
  .record({
    namespace: pick(NAMESPACES),
    hostname: pick(HOSTS),
    addresses: fc.array(fc.record({ network: pick(NETWORKS), address: pick(ADDRESSES) }), { maxLength: 2 }),
    cidrs: fc.array(fc.record({ network: pick(NETWORKS), cidr: pick(CIDRS) }), { maxLength: 2 }),
    canonical: fc.boolean(),
    visibility: pick(['PUBLIC', 'NAMESPACE'] as const),
    loadBalancing: fc.record({
      mode: fc.constant('STANDARD' as const),
      routingPreference: fc.constant([]),
      healthPolicy: pick(['ONLY_HEALTHY', 'ALLOW_ALL'] as const),
    }),
  })
  .map((parts) => aService(parts))
const policy = fc
  .record({
    name: pick(POLICIES),
    namespace: pick(NAMESPACES),
    scope: pick(['GLOBAL', 'NAMESPACE', 'WORKLOAD_SELECTOR'] as const),
  })
  .map((parts) => aPolicy(parts))

const change: fc.Arbitrary<MeshChange> = fc.oneof(
  { weight: 4, arbitrary: workload.map((workload): MeshChange => ({ kind: 'upsert-workload', workload })) },
  { weight: 3, arbitrary: service.map((service): MeshChange => ({ kind: 'upsert-service', service })) },
  policy.map((policy): MeshChange => ({ kind: 'upsert-policy', policy })),
  pick(UIDS).map((uid): MeshChange => ({ kind: 'remove-workload', uid })),
  pick(KEYS).map((key): MeshChange => ({ kind: 'remove-service', key })),
  pick([...UIDS, ...KEYS]).map((name): MeshChange => ({ kind: 'remove-address', name })),
  policy.map((policy): MeshChange => ({ kind: 'remove-policy', name: policyName(policy) })),
)

t.test('a store that lived through changes answers like one built from what is left', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.array(change, { maxLength: 8 }), { maxLength: 12 }), (batches) => {
      const lived = new MeshStore({ node: 'n1' })
      for (const batch of batches) lived.apply(batch)
      const fresh = new MeshStore({ node: 'n1' })
      fresh.apply(survivors(batches.flat()))
      return JSON.stringify(answers(lived)) === JSON.stringify(answers(fresh))
    }),
    { numRuns: 400 },
  )
  t.pass()
})

/** The last upsert of everything not removed since, in the order of those upserts. */
function survivors(changes: readonly MeshChange[]): MeshChange[] {
  const left = new Map<string, MeshChange>()
  const put = (name: string, change: MeshChange): void => {
    left.delete(name)
    left.set(name, change)
  }
  for (const change of changes) {
    switch (change.kind) {
      case 'upsert-workload':
        put(`w ${change.workload.uid}`, change)
        break
      case 'upsert-service':
        put(`s ${serviceKey(change.service)}`, change)
        break
      case 'upsert-policy':
        put(`p ${policyName(change.policy)}`, change)
        break
      case 'remove-workload':
        left.delete(`w ${change.uid}`)
        break
      case 'remove-service':
        left.delete(`s ${change.key}`)
        break
      case 'remove-address':
        if (!left.delete(`w ${change.name}`)) left.delete(`s ${change.name}`)
        break
      case 'remove-policy':
        left.delete(`p ${change.name}`)
    }
  }
  return [...left.values()]
}

/** Everything that can be asked of a store, asked. */
function answers(store: MeshStore): unknown {
  const addresses = NETWORKS.flatMap((network) =>
    [...ADDRESSES, '10.0.0.3'].map((address) => ({ network, address })),
  )
  const clients = [undefined, ...NAMESPACES]
  const keyOf = (found: { namespace: string; hostname: string } | undefined): string | undefined =>
    found && serviceKey(found)
  return {
    workloads: UIDS.map((uid) => store.workload(uid)),
    byAddress: addresses.map((address) => store.workloadByAddress(address)?.uid),
    byHostname: NAMESPACES.map((ns) => HOSTS.map((host) => store.workloadByHostname(ns, host)?.uid)),
    local: NAMESPACES.map((ns) =>
      ['w1', 'w2'].map((name) => ['s1', 's2'].map((account) => store.localWorkload(name, ns, account)?.uid)),
    ),
    nodes: NODES.map((node) => [...store.identitiesOnNode(node)].map((id) => JSON.stringify(id)).sort()),
    has: NODES.map((node) => NAMESPACES.map((ns) => store.hasIdentityOnNode(node, ns, 's1'))),
    services: KEYS.map((key) => store.service(key)),
    serviceByHostname: HOSTS.map((host) =>
      clients.map((client) => keyOf(store.serviceByHostname(host, client))),
    ),
    serviceByAddress: addresses.map((address) =>
      clients.map((client) => keyOf(store.serviceByAddress(address, client))),
    ),
    endpoints: KEYS.map((key) =>
      store.endpoints(key).map(({ workload, ports }) => [workload.uid, [...ports].sort()]),
    ),
    policies: UIDS.map((uid) => {
      const workload = store.workload(uid)
      return workload && store.policiesFor(workload).map(policyName)
    }),
    allPolicies: [...store.policies()].map(policyName).sort(),
  }
}
