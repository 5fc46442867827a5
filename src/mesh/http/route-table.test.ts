import t from 'tap'
import type { Route } from './route-model.ts'
import { RouteTable } from './route-table.ts'
import { anHttpRoute, aParent, aTcpRoute, ECHO } from './route-test-support.ts'

const QUERY = { service: ECHO, port: 80, clientNamespace: 'other' } as const

t.test('routes are found by Service and port, the oldest first', async (t) => {
  const table = tableOf(
    anHttpRoute({ name: 'b', creationTimestamp: '2024-01-01T00:00:00Z' }),
    anHttpRoute({ name: 'a', creationTimestamp: '2025-01-01T00:00:00Z' }),
    anHttpRoute({ name: 'c', creationTimestamp: '2024-01-01T00:00:00Z' }),
    anHttpRoute({ name: 'port', parents: [aParent({ port: 8080 })] }),
  )
  t.strictSame(names(table, {}), ['b', 'c', 'a'])
  t.strictSame(names(table, { port: 8080 }), ['port', 'b', 'c', 'a'])
  t.strictSame(names(table, { service: 'default/other' }), undefined)
})

t.test('one answer is for all who are told the same, however many ports and namespaces ask', async (t) => {
  const table = tableOf(
    anHttpRoute({ name: 'a' }),
    anHttpRoute({ name: 'port', parents: [aParent({ port: 8080 })] }),
  )
  const answer = table.lookup(QUERY)
  t.equal(table.lookup({ ...QUERY, port: 81, clientNamespace: 'third' }), answer)
  t.not(table.lookup({ ...QUERY, port: 8080 }), answer)
  t.equal(
    table.lookup({ ...QUERY, port: 8080 }),
    table.lookup({ ...QUERY, port: 8080, clientNamespace: 'x' }),
  )
})

t.test('one kind of route holds for a port, the most specific', async (t) => {
  const grpc = anHttpRoute({ kind: 'GRPCRoute', name: 'grpc', parents: [aParent({ port: 80 })] })
  const table = tableOf(anHttpRoute({ name: 'http' }), aTcpRoute({ name: 'tcp' }), grpc)
  t.strictSame(names(table, { port: 80 }), ['grpc'])
  t.strictSame(names(table, { port: 81 }), ['http'])
  t.strictSame(names(tableOf(aTcpRoute({ name: 'tcp' })), {}), ['tcp'])
})

t.test(
  'routes of another namespace hold for clients of that namespace alone, in place of the others',
  async (t) => {
    const consumer = anHttpRoute({ name: 'theirs', namespace: 'other' })
    const table = tableOf(anHttpRoute({ name: 'ours' }), consumer)
    t.strictSame(names(table, { clientNamespace: 'other' }), ['theirs'])
    t.equal(table.lookup({ ...QUERY, clientNamespace: 'other' })?.via, 'consumer')
    t.strictSame(names(table, { clientNamespace: 'third' }), ['ours'])
    t.strictSame(names(table, { clientNamespace: undefined }), ['ours'])
    t.equal(tableOf(consumer).lookup({ ...QUERY, clientNamespace: 'default' }), undefined)
  },
)

t.test("a waypoint's routes hold for Services without", async (t) => {
  const gateway = { kind: 'gateway', namespace: 'ns', name: 'waypoint', port: undefined } as const
  const ofGateway = anHttpRoute({ name: 'gateway', parents: [gateway] })
  const table = tableOf(ofGateway, anHttpRoute({ name: 'service', parents: [aParent({ port: 80 })] }))
  t.strictSame(names(table, { gateway: 'ns/waypoint', port: 81 }), ['gateway'])
  t.strictSame(names(table, { gateway: 'ns/waypoint' }), ['service'])
  t.strictSame(names(table, { port: 81 }), undefined)
  t.strictSame(names(table, { gateway: 'ns/another', port: 81 }), undefined)
})

t.test(
  'a change leaves the table before it, and the answers that it does not touch, as they are',
  async (t) => {
    const elsewhere = anHttpRoute({ name: 'elsewhere', parents: [aParent({ service: 'default/elsewhere' })] })
    const before = tableOf(anHttpRoute({ name: 'a' }), elsewhere)
    const kept = before.lookup({ ...QUERY, service: 'default/elsewhere' })
    const moved = anHttpRoute({ name: 'a', parents: [aParent({ service: 'default/moved' })] })
    const after = before.with({ upserts: [moved], removals: [] })
    t.strictSame(names(before, {}), ['a'])
    t.strictSame(names(after, {}), undefined)
    t.strictSame(names(after, { service: 'default/moved' }), ['a'])
    t.equal(after.lookup({ ...QUERY, service: 'default/elsewhere' }), kept)
    t.equal(after.revision, before.revision + 1)
    const removed = after.with({
      upserts: [],
      removals: ['HTTPRoute/default/a', 'HTTPRoute/default/unknown'],
    })
    t.strictSame(names(removed, { service: 'default/moved' }), undefined)
    t.equal(removed.size, 1)
  },
)

function tableOf(...routes: readonly Route[]): RouteTable {
  return RouteTable.EMPTY.with({ upserts: routes, removals: [] })
}

function names(table: RouteTable, query: Partial<Parameters<RouteTable['lookup']>[0]>) {
  return table.lookup({ ...QUERY, ...query })?.routes.map(({ name }) => name)
}
