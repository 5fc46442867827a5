import fc from 'fast-check'
import t from 'tap'
import { authorize, type MeshChange, MeshStore, type PolicyContext } from '../../mesh/index.ts'
import { aMatch, aPolicy, aWorkload } from '../../mesh/test-support.ts'
import { ConnectionTracker } from './connection-tracker.ts'
import { createLocalWorkload } from './local-workload.ts'
import { WorkloadPolicies } from './workload-policies.ts'

const RUNS = 1500
/** Longer than the test: whether a name is still waited for is then a question of the names alone. */
const NEVER_MS = 600_000
const POD = aWorkload({ name: 'pod', addresses: ['10.0.0.2'] })
const PORTS = [80, 90]

const context = (destinationPort: number): PolicyContext => ({
  sourceIdentity: undefined,
  sourceAddress: '10.0.0.1',
  destinationAddress: '10.0.0.2',
  destinationPort,
})

const policyNames = fc.constantFrom('p', 'q', 'r')
const policy: fc.Arbitrary<MeshChange> = fc
  .record({
    name: policyNames,
    scope: fc.constantFrom('GLOBAL' as const, 'NAMESPACE' as const, 'WORKLOAD_SELECTOR' as const),
    action: fc.constantFrom('ALLOW' as const, 'DENY' as const),
    dryRun: fc.boolean(),
    rules: fc.constantFrom(...PORTS.map((port) => [[[aMatch({ destinationPorts: [port] })]]]), [], [[]]),
  })
  .map((parts) => ({ kind: 'upsert-policy', policy: aPolicy(parts) }))
const removal: fc.Arbitrary<MeshChange> = policyNames.map((name) => ({
  kind: 'remove-policy',
  name: `default/${name}`,
}))
const relisting: fc.Arbitrary<MeshChange> = fc
  .subarray(['default/p', 'default/q', 'default/r'])
  .map((authorizationPolicies) => ({ kind: 'upsert-workload', workload: { ...POD, authorizationPolicies } }))
const away: fc.Arbitrary<MeshChange> = fc.constant({ kind: 'remove-workload', uid: POD.uid })
const change = fc.oneof(
  { weight: 4, arbitrary: policy },
  { weight: 2, arbitrary: removal },
  { weight: 3, arbitrary: relisting },
  { weight: 1, arbitrary: away },
)
const batches = fc.array(fc.array(change, { minLength: 1, maxLength: 2 }), { minLength: 1, maxLength: 8 })

t.test('whatever changes, each open connection is as if it were judged anew', async (t) => {
  let cut = 0
  let spared = 0
  fc.assert(
    fc.property(batches, (steps) => {
      const mesh = new MeshStore()
      mesh.upsertWorkload(POD)
      const tracker = new ConnectionTracker()
      const local = createLocalWorkload(mesh, POD)
      const policies = new WorkloadPolicies({ mesh, local, tracker, waitMs: NEVER_MS })
      const open = new Map(PORTS.map((port) => [port, track(tracker, port)]))
      let workload = POD
      let right = true
      for (const step of steps) {
        mesh.apply(step)
        workload = local.peek() ?? workload
        const waits = mesh.unknownPolicies(workload).length > 0
        for (const port of PORTS) {
          const verdict = authorize(mesh.policiesFor(workload), context(port))
          const spare = waits && verdict.reason === 'allow-policies-but-none-matched'
          const tracked = open.get(port)
          if (tracked !== undefined) {
            right &&= tracked.signal.aborted === (!verdict.allowed && !spare)
            if (spare) spared++
          }
          if (tracked?.signal.aborted) {
            cut++
            tracked.release()
            open.delete(port)
          }
          // In its place another comes as soon as it would be let in at once.
          if (!open.has(port) && !waits && verdict.allowed) open.set(port, track(tracker, port))
        }
      }
      policies.close()
      return right
    }),
    { numRuns: RUNS },
  )
  t.ok(cut > RUNS / 10, `${cut} were cut`)
  t.ok(spared > RUNS / 50, `${spared} were spared`)
})

function track(tracker: ConnectionTracker, port: number) {
  const to = `10.0.0.2:${port}`
  return tracker.track(
    {
      direction: 'inbound',
      source: '10.0.0.1:4000',
      originalDestination: to,
      actualDestination: to,
      protocol: 'TCP',
    },
    context(port),
  )
}
