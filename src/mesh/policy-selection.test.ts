import t from 'tap'
import { authorize } from './authorize.ts'
import { MeshStore } from './mesh-store.ts'
import type { AuthorizationPolicy, Workload } from './model.ts'
import { policyName } from './names.ts'
import { aPolicy, aWorkload } from './test-support.ts'

// Which policies bear on a connection: wire/ztunnel 8.1 and 8.2.

type Scope = AuthorizationPolicy['scope']

interface Row {
  readonly item: string
  readonly why: string
  readonly scope: Scope
  readonly namespace: string
  readonly listed?: readonly string[]
  readonly applies: boolean
}

const LISTED = ['istio-system/p', 'default/p', 'other/p', '/p']

const ROWS: readonly Row[] = [
  { item: '8.1', why: 'global', scope: 'GLOBAL', namespace: 'istio-system', applies: true },
  { item: '8.2', why: 'global, of any namespace', scope: 'GLOBAL', namespace: 'other', applies: true },
  { item: '8.1', why: 'own namespace', scope: 'NAMESPACE', namespace: 'default', applies: true },
  { item: '8.1', why: 'other namespace', scope: 'NAMESPACE', namespace: 'other', applies: false },
  { item: '8.2', why: 'no namespace is all', scope: 'NAMESPACE', namespace: '', applies: true },
  { item: '8.2', why: 'selector, own', scope: 'WORKLOAD_SELECTOR', namespace: 'default', applies: false },
  { item: '8.2', why: 'selector, none', scope: 'WORKLOAD_SELECTOR', namespace: '', applies: false },
  ...(['GLOBAL', 'NAMESPACE', 'WORKLOAD_SELECTOR'] as const).flatMap((scope) =>
    ['istio-system', 'default', 'other', ''].map((namespace) => ({
      item: '8.1',
      why: `listed, whatever its scope: ${scope} of "${namespace}"`,
      scope,
      namespace,
      listed: LISTED,
      applies: true,
    })),
  ),
]

const CONTEXT = {
  sourceIdentity: undefined,
  sourceAddress: '10.0.0.1',
  destinationAddress: '10.0.0.2',
  destinationPort: 80,
}

t.test('scopes and lists', async (t) => {
  for (const { item, why, scope, namespace, listed = [], applies } of ROWS) {
    const store = new MeshStore()
    store.upsertPolicy(aPolicy({ name: 'p', scope, namespace, action: 'DENY', rules: [[]] }))
    const workload = aWorkload({ authorizationPolicies: listed })
    t.equal(authorize(store.policiesFor(workload), CONTEXT).allowed, !applies, `${item} ${why}`)
  }
})

t.test(
  '8.1 a name that nobody has sent is skipped, and does not switch on the default of denying',
  async (t) => {
    const store = new MeshStore()
    const workload = aWorkload({ authorizationPolicies: ['default/gone', 'default/here'] })
    t.equal(authorize(store.policiesFor(workload), CONTEXT).allowed, true)
    t.same(store.unknownPolicies(workload), ['default/gone', 'default/here'])
    store.upsertPolicy(aPolicy({ name: 'here', rules: [] }))
    t.equal(authorize(store.policiesFor(workload), CONTEXT).allowed, false)
    t.same(store.unknownPolicies(workload), ['default/gone'])
  },
)

t.test('8.1 the same list until a policy of it changes, and never an old one', async (t) => {
  const store = new MeshStore()
  const plain = aWorkload()
  const listing = aWorkload({ name: 'l', authorizationPolicies: ['default/sel'] })
  const names = (workload: Workload): string => store.policiesFor(workload).map(policyName).join(' ')
  const steps: readonly (readonly [() => void, string, string])[] = [
    [() => {}, '', ''],
    [() => put('default', 'ns', 'NAMESPACE'), 'default/ns', 'default/ns'],
    [() => put('root', 'all', 'GLOBAL'), 'default/ns root/all', 'default/ns root/all'],
    [
      () => put('default', 'sel', 'WORKLOAD_SELECTOR'),
      'default/ns root/all',
      'default/ns root/all default/sel',
    ],
    [() => store.removePolicy('root/all'), 'default/ns', 'default/ns default/sel'],
    [() => put('default', 'ns', 'WORKLOAD_SELECTOR'), '', 'default/sel'],
    [() => put('other', 'ns', 'NAMESPACE'), '', 'default/sel'],
    [() => store.removePolicy('default/sel'), '', ''],
    [() => put('default', 'sel', 'NAMESPACE'), 'default/sel', 'default/sel'],
  ]
  function put(namespace: string, name: string, scope: Scope): void {
    store.upsertPolicy(aPolicy({ namespace, name, scope }))
  }
  for (const [change, ofPlain, ofListing] of steps) {
    change()
    t.equal(names(plain), ofPlain)
    t.equal(names(listing), ofListing)
    t.equal(store.policiesFor(plain), store.policiesFor(plain))
    t.equal(store.policiesFor(listing), store.policiesFor(listing))
  }
  put('default', 'ns', 'NAMESPACE')
  const before = store.policiesFor(plain)
  put('other', 'ns', 'NAMESPACE')
  t.equal(store.policiesFor(plain), before, 'another namespace’s change costs this one nothing')
})
