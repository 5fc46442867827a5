import t from 'tap'
import type { ServiceKey } from '../model.ts'
import { policyName } from '../names.ts'
import type { PolicyTarget } from './policy-model.ts'
import { WaypointPolicyTable } from './policy-table.ts'
import { aWaypointMatch, aWaypointPolicy } from './policy-test-support.ts'

const service = (service: ServiceKey): PolicyTarget => ({ kind: 'service', service })
const gateway = (namespace: string, name: string): PolicyTarget => ({ kind: 'gateway', namespace, name })
const A: ServiceKey = 'foo/a.foo.svc.cluster.local'
const B: ServiceKey = 'foo/b.foo.svc.cluster.local'

function names(table: WaypointPolicyTable, of: ServiceKey | undefined, name = 'wp'): readonly string[] {
  const query = { gateway: { namespace: 'foo', name }, gatewayClass: 'istio-waypoint', service: of }
  return table.for(query).map(policyName)
}

function aTable(): WaypointPolicyTable {
  const table = new WaypointPolicyTable()
  table.apply({
    upserts: [
      aWaypointPolicy({ name: 'of-a', targets: [service(A)] }),
      aWaypointPolicy({ name: 'of-both', targets: [service(A), service(B)] }),
      aWaypointPolicy({ name: 'of-wp', targets: [gateway('foo', 'wp')] }),
      aWaypointPolicy({ name: 'twice', targets: [gateway('foo', 'wp'), service(A)], action: 'DENY' }),
      aWaypointPolicy({ name: 'of-class', targets: [{ kind: 'gatewayClass', name: 'istio-waypoint' }] }),
      aWaypointPolicy({ name: 'other-class', targets: [{ kind: 'gatewayClass', name: 'istio' }] }),
      aWaypointPolicy({ name: 'elsewhere', targets: [gateway('bar', 'wp')] }),
      aWaypointPolicy({ name: 'nowhere', targets: [] }),
    ],
  })
  return table
}

t.test('policies of the class, the waypoint and the service, each once, DENY first', async (t) => {
  const table = aTable()
  t.strictSame(names(table, A), [
    'default/twice',
    'default/of-class',
    'default/of-wp',
    'default/of-a',
    'default/of-both',
  ])
  t.strictSame(names(table, B), ['default/twice', 'default/of-class', 'default/of-wp', 'default/of-both'])
  t.strictSame(names(table, undefined), ['default/twice', 'default/of-class', 'default/of-wp'], 'to a pod')
  t.strictSame(names(table, 'foo/unknown'), ['default/twice', 'default/of-class', 'default/of-wp'])
  t.strictSame(names(table, A, 'wp2'), [
    'default/twice',
    'default/of-class',
    'default/of-a',
    'default/of-both',
  ])
})

t.test('a policy that changes is bound to what it says now, and one that goes to nothing', async (t) => {
  const table = aTable()
  names(table, A)
  table.apply({
    upserts: [aWaypointPolicy({ name: 'of-a', targets: [service(B)] })],
    removals: ['default/twice', 'default/of-class', 'default/never-there'],
  })
  t.strictSame(names(table, A), ['default/of-wp', 'default/of-both'])
  t.strictSame(names(table, B), ['default/of-wp', 'default/of-both', 'default/of-a'])
  t.equal(table.get('default/twice'), undefined)
  t.match(table.get('default/of-a'), { targets: [{ service: B }] })
  t.equal([...table.values()].length, 6)
})

t.test('what is found is found once, until something changes', async (t) => {
  const table = aTable()
  const query = { gateway: { namespace: 'foo', name: 'wp' }, gatewayClass: 'istio-waypoint', service: A }
  t.equal(table.for(query), table.for(query))
  t.equal(
    table.for({ ...query, service: 'x/y' }),
    table.for({ ...query, service: 'x/z' }),
    'nothing is kept per name',
  )
  const before = table.for(query)
  let changes = 0
  const stop = table.onChange(() => void changes++)
  table.apply({})
  t.not(table.for(query), before)
  stop()
  table.apply({})
  t.equal(changes, 1)
})

t.test('a policy that cannot be read changes nothing', async (t) => {
  const table = aTable()
  const paths = [{ kind: 'template' as const, value: '/{**}/{*}' }]
  const bad = aWaypointPolicy({ name: 'bad', rules: [[[aWaypointMatch({ paths })]]] })
  t.throws(() => table.apply({ upserts: [bad], removals: ['default/of-a'] }), { name: 'SyntaxError' })
  t.equal([...table.values()].length, 8)
})
