// A waypoint's client at a real config server: routes from YAML, by gRPC.
import t from 'tap'
import { type RouteChanges, RouteTable } from '../mesh/http/index.ts'
import { MeshStore } from '../mesh/index.ts'
import {
  ADDRESS_TYPE,
  AddressHandler,
  AUTHORIZATION_TYPE,
  ROUTE_TYPE,
  RouteHandler,
  WAYPOINT_POLICY_TYPE,
} from '../xds/index.ts'
import { AMBIENT_NAMESPACE, pod, testClient, testMesh, until } from './test-support.ts'

const SERVICE = (name: string) => `---
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: foo}
spec: {clusterIP: 10.96.0.1, selector: {app: ${name}}, ports: [{name: http, port: 80}]}
`
const ROUTE = (rules: string) => `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: echo, namespace: foo}
spec:
  parentRefs: [{group: "", kind: Service, name: echo}]
  rules: [${rules}]
`
const TO = (name: string) => `{backendRefs: [{name: ${name}, port: 80}]}`
const QUERY = { service: 'foo/echo.foo.svc.cluster.local', port: 80, clientNamespace: 'foo' } as const

/** As a waypoint holds them. */
class Routes {
  table = RouteTable.EMPTY

  apply(changes: RouteChanges): void {
    this.table = this.table.with(changes)
  }
}

t.test('a waypoint gets routes, their changes, and the last good state of a broken one', async (t) => {
  const files = {
    'ns.yaml': AMBIENT_NAMESPACE,
    'a.yaml': pod('a'),
    'services.yaml': SERVICE('echo') + SERVICE('echo-v1') + SERVICE('echo-v2'),
    'route.yaml': ROUTE(TO('echo-v1')),
  }
  const mesh = testMesh(t, files)
  const server = await mesh.start()
  const routes = new Routes()
  const store = new MeshStore()
  const token = () => server.issuer.issueNodeToken({ node: 'node-a', ttlSeconds: 60 })
  const { client } = testClient(t, mesh, server.address.port, token, {
    types: [new AddressHandler(store), new RouteHandler(routes)],
  })
  client.start()
  await Promise.all([client.synced(ADDRESS_TYPE), client.synced(ROUTE_TYPE)])
  t.equal(backendOf(routes), 'foo/echo-v1.foo.svc.cluster.local')
  t.ok(store.service('foo/echo-v1.foo.svc.cluster.local'))

  await mesh.write('route.yaml', ROUTE(TO('echo-v2')))
  await until('the change', () => backendOf(routes) === 'foo/echo-v2.foo.svc.cluster.local')

  await mesh.write('route.yaml', ROUTE('{match: []}'))
  await until('the mistake', () =>
    server.status().source.problems.some(({ text }) => /rules\[0\]\.match/.test(text)),
  )
  t.equal(backendOf(routes), 'foo/echo-v2.foo.svc.cluster.local', 'the last good state')

  await mesh.write('route.yaml', '# none\n')
  await until('the removal', () => routes.table.size === 0)
})

t.test('a node proxy is sent no routes, and a waypoint without any knows that there are none', async (t) => {
  const mesh = testMesh(t, { 'a.yaml': pod('a'), 's.yaml': SERVICE('echo'), 'route.yaml': ROUTE(TO('echo')) })
  const server = await mesh.start()
  const token = () => server.issuer.issueNodeToken({ node: 'node-a', ttlSeconds: 60 })
  const node = testClient(t, mesh, server.address.port, token)
  node.client.start()
  await Promise.all([node.client.synced(ADDRESS_TYPE), node.client.synced(AUTHORIZATION_TYPE)])
  t.strictSame(
    server.status().proxies.flatMap(({ types }) => types.map(({ typeUrl }) => typeUrl)),
    [ADDRESS_TYPE, AUTHORIZATION_TYPE],
  )
  t.match(server.status().resources, { [ROUTE_TYPE]: 1, [WAYPOINT_POLICY_TYPE]: 0 })
  await mesh.write('route.yaml', '# none\n')
  await until('no route', () => server.status().resources[ROUTE_TYPE] === 0)
  const routes = new Routes()
  const waypoint = testClient(t, mesh, server.address.port, token, { types: [new RouteHandler(routes)] })
  waypoint.client.start()
  await waypoint.client.synced(ROUTE_TYPE)
  t.equal(routes.table.size, 0)
})

function backendOf(routes: Routes): string | undefined {
  const found = routes.table.lookup(QUERY)
  if (found === undefined || found.kind === 'TCPRoute') return undefined
  const target = found.routes[0]?.rules[0]?.backends[0]?.target
  return target?.kind === 'service' ? target.service : undefined
}
