import { setImmediate as macrotask } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { type AuthorizationPolicy, MeshStore, type PolicyContext, type Workload } from '../../mesh/index.ts'
import { aMatch, aPolicy, aWorkload } from '../../mesh/test-support.ts'
import { createLogger } from '../../telemetry/index.ts'
import { Lines } from '../../telemetry/test-support.ts'
import { ConnectionTracker, type Tracked } from './connection-tracker.ts'
import { createLocalWorkload } from './local-workload.ts'
import { WorkloadPolicies } from './workload-policies.ts'

const POD = aWorkload({ name: 'pod', addresses: ['10.0.0.2'] })
/** Longer than any test takes: what waits that long waits for ever. */
const NEVER_MS = 600_000

const context = (destinationPort: number): PolicyContext => ({
  sourceIdentity: undefined,
  sourceAddress: '10.0.0.1',
  destinationAddress: '10.0.0.2',
  destinationPort,
})

const byPort = (port: number): AuthorizationPolicy['rules'] => [[[aMatch({ destinationPorts: [port] })]]]
const deny = (name: string, port: number, over: Partial<AuthorizationPolicy> = {}): AuthorizationPolicy =>
  aPolicy({ name, action: 'DENY', rules: byPort(port), ...over })
const allow = (name: string, port: number, over: Partial<AuthorizationPolicy> = {}): AuthorizationPolicy =>
  aPolicy({ name, rules: byPort(port), ...over })
const listing = (...authorizationPolicies: string[]): Workload => ({ ...POD, authorizationPolicies })

interface Live {
  readonly mesh: MeshStore
  readonly policies: WorkloadPolicies
  readonly lines: readonly string[]
  /** A connection to port 80, and one to 90, both open. */
  readonly on80: Tracked
  readonly on90: Tracked
}

function live(
  t: Test,
  workload: Workload,
  before: readonly AuthorizationPolicy[] = [],
  waitMs = NEVER_MS,
): Live {
  const mesh = new MeshStore()
  for (const policy of before) mesh.upsertPolicy(policy)
  mesh.upsertWorkload(workload)
  const tracker = new ConnectionTracker()
  const destination = new Lines()
  const log = createLogger({ format: 'plain', level: 'info', destination }).scope('proxy')
  const local = createLocalWorkload(mesh, workload)
  const policies = new WorkloadPolicies({ mesh, local, tracker, log, waitMs })
  t.teardown(() => policies.close())
  const track = (port: number): Tracked =>
    tracker.track(
      {
        direction: 'inbound',
        source: '10.0.0.1:4000',
        originalDestination: `10.0.0.2:${port}`,
        actualDestination: `10.0.0.2:${port}`,
        protocol: 'TCP',
      },
      context(port),
    )
  return { mesh, policies, lines: destination.lines, on80: track(80), on90: track(90) }
}

/** Everything that can newly deny port 80 and not port 90, with who denies it. */
const CHANGES: readonly (readonly [
  name: string,
  before: { workload?: Workload; policies?: readonly AuthorizationPolicy[] },
  change: (mesh: MeshStore) => void,
  policy: string | undefined,
])[] = [
  [
    'a global DENY is added',
    {},
    (mesh) => mesh.upsertPolicy(deny('p', 80, { scope: 'GLOBAL', namespace: 'istio-system' })),
    'istio-system/p',
  ],
  [
    'a DENY of the namespace is added',
    {},
    (mesh) => mesh.upsertPolicy(deny('p', 80, { scope: 'NAMESPACE' })),
    'default/p',
  ],
  [
    'an ALLOW of the namespace is added that has no place for it',
    {},
    (mesh) => mesh.upsertPolicy(allow('p', 90, { scope: 'NAMESPACE' })),
    undefined,
  ],
  [
    'a policy changes its rules',
    { policies: [deny('p', 70, { scope: 'NAMESPACE' })] },
    (mesh) => mesh.upsertPolicy(deny('p', 80, { scope: 'NAMESPACE' })),
    'default/p',
  ],
  [
    'a policy changes its action',
    { policies: [allow('p', 80, { scope: 'NAMESPACE' }), allow('q', 90, { scope: 'NAMESPACE' })] },
    (mesh) => mesh.upsertPolicy(deny('p', 80, { scope: 'NAMESPACE' })),
    'default/p',
  ],
  [
    'a policy changes its scope',
    { policies: [deny('p', 80)] },
    (mesh) => mesh.upsertPolicy(deny('p', 80, { scope: 'NAMESPACE' })),
    'default/p',
  ],
  [
    'a policy is enforced that was a dry run',
    { policies: [deny('p', 80, { scope: 'NAMESPACE', dryRun: true })] },
    (mesh) => mesh.upsertPolicy(deny('p', 80, { scope: 'NAMESPACE' })),
    'default/p',
  ],
  [
    'the ALLOW that let it in is removed, and another stays',
    { policies: [allow('p', 80, { scope: 'NAMESPACE' }), allow('q', 90, { scope: 'NAMESPACE' })] },
    (mesh) => mesh.removePolicy('default/p'),
    undefined,
  ],
  [
    'the workload comes to list a DENY (8.13: Istio’s ztunnel misses it)',
    { policies: [deny('p', 80)] },
    (mesh) => mesh.upsertWorkload(listing('default/p')),
    'default/p',
  ],
  [
    'the workload ceases to list the ALLOW that let it in',
    { workload: listing('default/p', 'default/q'), policies: [allow('p', 80), allow('q', 90)] },
    (mesh) => mesh.upsertWorkload(listing('default/q')),
    undefined,
  ],
  [
    'list and policy change at once',
    { workload: listing('default/p'), policies: [deny('p', 70)] },
    (mesh) =>
      void mesh.apply([
        { kind: 'upsert-workload', workload: listing('default/q') },
        { kind: 'remove-policy', name: 'default/p' },
        { kind: 'upsert-policy', policy: deny('q', 80) },
      ]),
    'default/q',
  ],
  [
    'a workload that the control plane took away is judged by what it was',
    { workload: listing('default/p'), policies: [deny('p', 70)] },
    (mesh) => {
      mesh.removeWorkload(POD.uid)
      mesh.upsertPolicy(deny('p', 80))
    },
    'default/p',
  ],
  [
    'another workload takes the pod’s place',
    { policies: [deny('p', 80)] },
    (mesh) =>
      void mesh.apply([
        { kind: 'remove-workload', uid: POD.uid },
        { kind: 'upsert-workload', workload: { ...listing('default/p'), uid: 'other' } },
      ]),
    'default/p',
  ],
]

t.test('whatever newly denies a connection cuts it, and it alone', async (t) => {
  for (const [name, { workload = POD, policies = [] }, change, policy] of CHANGES) {
    const { mesh, on80, on90 } = live(t, workload, policies)
    mesh.upsertWorkload(aWorkload({ name: 'unrelated' }))
    t.equal(on80.signal.aborted, false, `before: ${name}`)
    change(mesh)
    t.equal(on80.signal.aborted, true, name)
    t.equal(on80.denied()?.policy, policy, name)
    t.equal(on90.signal.aborted, false, `the other one: ${name}`)
  }
})

t.test('what changes nothing for a connection leaves it alone', async (t) => {
  const { mesh, on80, on90 } = live(t, listing('default/p'), [deny('p', 70)])
  mesh.upsertPolicy(deny('p', 71))
  mesh.upsertPolicy(deny('other', 80, { scope: 'NAMESPACE', namespace: 'elsewhere' }))
  mesh.upsertPolicy(deny('unlisted', 80))
  mesh.upsertPolicy(deny('dry', 80, { scope: 'GLOBAL', dryRun: true }))
  mesh.upsertPolicy(allow('dry-allow', 70, { scope: 'GLOBAL', dryRun: true }))
  mesh.upsertWorkload(listing())
  mesh.removePolicy('default/p')
  mesh.removeWorkload(POD.uid)
  t.same([on80.signal.aborted, on90.signal.aborted], [false, false])
})

t.test('a new connection is judged by the list in force, not by the one that it found', async (t) => {
  const { mesh, policies } = live(t, POD, [deny('p', 80)])
  mesh.upsertWorkload(listing('default/p'))
  t.match(await policies.judge(POD, context(80)), { allowed: false, policy: 'default/p' })
})

t.test('a workload that lists a policy that is on its way: new connections wait for it', async (t) => {
  const { mesh, policies } = live(t, listing('default/p'))
  let verdict: unknown
  const judged = Promise.resolve(policies.judge(POD, context(80))).then((result) => {
    verdict = result
  })
  await macrotask()
  t.equal(verdict, undefined, 'nothing is let through meanwhile')
  mesh.upsertPolicy(deny('p', 80))
  await judged
  t.match(verdict, { allowed: false, policy: 'default/p' })
})

t.test('what is explicitly denied waits for nothing', async (t) => {
  const { policies } = live(t, listing('default/p', 'default/q'), [deny('p', 80)])
  t.match(policies.judge(POD, context(80)), { allowed: false, policy: 'default/p' })
})

t.test('a policy replaced by one of another name lets nothing through, in either order', async (t) => {
  const replaced = { kind: 'remove-policy', name: 'default/p' } as const
  const replacing = { kind: 'upsert-policy', policy: deny('q', 80) } as const
  const relisted = { kind: 'upsert-workload', workload: listing('default/q') } as const
  const orders = [
    [[relisted], [replacing, replaced]],
    [[replacing, replaced], [relisted]],
    [[replaced], [relisted], [replacing]],
  ]
  for (const batches of orders) {
    const { mesh, policies } = live(t, listing('default/p'), [deny('p', 80)])
    const verdicts = []
    for (const batch of batches) {
      mesh.apply(batch)
      verdicts.push(policies.judge(POD, context(80)))
    }
    for (const verdict of await Promise.all(verdicts)) t.equal(verdict.allowed, false)
  }
})

t.test('an ALLOW replaced by one of another name cuts nobody that it still lets in', async (t) => {
  const stays = allow('stays', 90)
  const { mesh, on80, on90 } = live(t, listing('default/p', 'default/stays'), [allow('p', 80), stays])
  mesh.apply([
    { kind: 'remove-policy', name: 'default/p' },
    { kind: 'upsert-policy', policy: allow('q', 80) },
  ])
  t.equal(on80.signal.aborted, false)
  mesh.upsertWorkload(listing('default/q', 'default/stays'))
  t.same([on80.signal.aborted, on90.signal.aborted], [false, false])
  mesh.upsertWorkload(listing('default/stays'))
  t.equal(on80.signal.aborted, true, 'and whoever none lets in any more is cut')
})

t.test('an ALLOW that is gone for good: its connections are cut when nobody has replaced it', async (t) => {
  const before = [allow('p', 80), allow('stays', 90)]
  const { mesh, on80, on90, lines } = live(t, listing('default/p', 'default/stays'), before, 1)
  const cut = new Promise((resolve) => on80.signal.addEventListener('abort', () => resolve(undefined)))
  mesh.removePolicy('default/p')
  t.equal(on80.signal.aborted, false)
  await cut
  t.match(on80.denied(), { reason: 'allow-policies-but-none-matched' })
  t.equal(on90.signal.aborted, false)
  t.equal(lines.length, 1)
  t.match(lines[0], `skipping unknown policy\tpolicy="default/p" workload="${POD.uid}"`)
})

t.test('a name that leads nowhere delays nobody after the first wait (8.1)', async (t) => {
  const { mesh, policies, lines } = live(t, listing('default/gone'), [], 1)
  t.match(await policies.judge(POD, context(80)), { allowed: true, reason: 'no-allow-policies' })
  t.match(policies.judge(POD, context(80)), { allowed: true }, 'at once')
  mesh.upsertWorkload(listing('default/gone'))
  t.match(policies.judge(POD, context(80)), { allowed: true }, 'still')
  t.equal(lines.length, 1, 'and is told of once')
  mesh.upsertPolicy(deny('gone', 80))
  t.match(policies.judge(POD, context(80)), { allowed: false }, 'until it comes after all')
  mesh.removePolicy('default/gone')
  t.ok(policies.judge(POD, context(80)) instanceof Promise, 'and is waited for when it goes again')
})

t.test('the end lets go of those that wait, and hears of nothing any more', async (t) => {
  const { mesh, policies, on80 } = live(t, listing('default/p'))
  const judged = policies.judge(POD, context(80))
  policies.close()
  t.match(await judged, { allowed: true }, 'the tracker has cut it by then')
  mesh.upsertPolicy(deny('p', 80))
  t.equal(on80.signal.aborted, false)
})
