import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import t, { type Test } from 'tap'
import { dialHbone } from '../../hbone/index.ts'
import { listenTcp, received } from '../../hbone/test-support.ts'
import { type Workload, workloadIdentity } from '../../mesh/index.ts'
import { aMatch, aPolicy, aWorkload } from '../../mesh/test-support.ts'
import { hboneHandler } from './inbound-hbone.ts'
import { createProxy, createSvids, serveWorkload, type TestProxy } from './test-support.ts'

const POD = '127.0.2.2'
const client = aWorkload({ name: 'client', addresses: ['127.0.2.1'] })
const pod = aWorkload({ name: 'pod', addresses: [POD] })

interface Inbound {
  readonly proxy: TestProxy
  readonly appPort: number
  /** What the application has received on its connections. */
  readonly app: Promise<Buffer>
  /** One CONNECT as the client; resolves with 200 and the stream, or the status of the refusal. */
  request(authority: string): Promise<{ status: number; body: Promise<Buffer>; end(text: string): void }>
}

/** A pod's HBONE port, with the real handler behind it, and its application. */
async function inbound(t: Test, workload: Workload = pod, appAddress = POD): Promise<Inbound> {
  const svids = await createSvids(t)
  const proxy = createProxy(t, svids, workload)
  proxy.mesh.upsertWorkload(client)
  const seen = Promise.withResolvers<Buffer>()
  const app = await listenTcp(
    t,
    (socket) => {
      void received(socket).then((bytes) => {
        seen.resolve(bytes)
        socket.end('answer')
      })
    },
    appAddress,
  )
  const handle = hboneHandler(proxy.deps)
  const listening = await serveWorkload(t, svids, workload, (request) => void handle(request))
  const connection = await dialHbone({
    socket: connect({ host: POD, port: listening.port, localAddress: '127.0.2.1', allowHalfOpen: true }),
    svid: await svids.get(workloadIdentity(client)),
    expectedIdentities: ['spiffe://cluster.local/ns/default/sa/pod'],
  })
  t.teardown(() => connection.close())
  return {
    proxy,
    appPort: app.port,
    app: seen.promise,
    async request(authority) {
      try {
        const { stream } = await connection.request({ authority, headers: {} })
        return { status: 200, body: received(stream), end: (text) => void stream.end(text) }
      } catch (error) {
        const status = Number((error as { status?: number }).status)
        return { status, body: Promise.resolve(Buffer.alloc(0)), end: () => {} }
      }
    },
  }
}

t.test('200: the application is dialled before the answer, and the tunnel carries both ways', async (t) => {
  const mesh = await inbound(t)
  const tunnel = await mesh.request(`${POD}:${mesh.appPort}`)
  t.equal(tunnel.status, 200)
  tunnel.end('question')
  t.equal(String(await mesh.app), 'question')
  t.equal(String(await tunnel.body), 'answer')
})

t.test('400: an authority that names another address than the pod', async (t) => {
  const mesh = await inbound(t)
  t.equal((await mesh.request(`127.0.2.9:${mesh.appPort}`)).status, 400)
  t.match(mesh.proxy.log.at(-1), {
    message: 'connection failed',
    error: /^ip mismatch: 127.0.2.2 != 127.0.2.9/,
  })
})

t.test('401: a policy that denies; nothing reaches the application', async (t) => {
  const mesh = await inbound(t)
  const deny = aPolicy({
    name: 'no-client',
    scope: 'NAMESPACE',
    action: 'DENY',
    rules: [[[aMatch({ principals: [{ kind: 'suffix', value: '/sa/client' }] })]]],
  })
  mesh.proxy.mesh.upsertPolicy(deny)
  t.equal((await mesh.request(`${POD}:${mesh.appPort}`)).status, 401)
  t.match(mesh.proxy.log.at(-1), {
    level: 'error',
    error: 'connection closed due to policy rejection: explicitly denied by: default/no-client',
    policy: 'default/no-client',
  })
})

t.test('401: a policy that the workload lists, and that comes after the connection', async (t) => {
  const mesh = await inbound(t, { ...pod, authorizationPolicies: ['default/late'] })
  const { tracker } = mesh.proxy.deps
  const answer = mesh.request(`${POD}:${mesh.appPort}`)
  while ([...tracker.list()].length === 0) await new Promise(setImmediate)
  mesh.proxy.mesh.upsertPolicy(aPolicy({ name: 'late', action: 'DENY', rules: [[]] }))
  t.equal((await answer).status, 401)
  t.match(mesh.proxy.log.at(-1), {
    policy: 'default/late',
    rule: 1,
    judged: `spiffe://cluster.local/ns/default/sa/client from 127.0.2.1 to ${POD}:${mesh.appPort}`,
  })
})

t.test('503: nobody listens on the port', async (t) => {
  const mesh = await inbound(t)
  const free = createServer().listen(0, POD)
  await once(free, 'listening')
  const { port } = free.address() as { port: number }
  free.close()
  await once(free, 'close')
  t.equal((await mesh.request(`${POD}:${port}`)).status, 503)
  t.match(mesh.proxy.log.at(-1), { error: /^connection failed: connect ECONNREFUSED/ })
})

t.test("503: a tunnel to the proxy's own ports", async (t) => {
  const mesh = await inbound(t)
  t.equal((await mesh.request(`${POD}:15008`)).status, 503)
  t.equal((await mesh.request(`${POD}:15001`)).status, 503)
  t.match(mesh.proxy.log.at(-1), { error: 'attempted recursive call to ourselves' })
})

t.test('503: a hostname that no service has', async (t) => {
  const mesh = await inbound(t)
  t.equal((await mesh.request('nobody.default.svc.cluster.local:80')).status, 503)
})

t.test('an application with a PROXY tunnel is told who asked and for what', async (t) => {
  const mesh = await inbound(
    t,
    aWorkload({ name: 'pod', addresses: [POD], applicationTunnel: { protocol: 'PROXY', port: undefined } }),
    '127.0.0.1',
  )
  const tunnel = await mesh.request(`10.96.0.1:${mesh.appPort}`)
  t.equal(tunnel.status, 200)
  tunnel.end('question')
  const bytes = await mesh.app
  t.equal(bytes.subarray(0, 12).toString('hex'), '0d0a0d0a000d0a515549540a', 'PROXY protocol version 2')
  t.same([...bytes.subarray(16, 24)], [127, 0, 2, 1, 10, 96, 0, 1], 'from the client, to what it asked for')
  t.match(bytes.toString('latin1'), 'spiffe://cluster.local/ns/default/sa/client', 'with its proven identity')
  t.match(bytes.toString('latin1'), /question$/, 'and then the bytes')
})
