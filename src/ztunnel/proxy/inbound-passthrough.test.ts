import type { Socket } from 'node:net'
import t, { type Test } from 'tap'
import { listenTcp, received } from '../../hbone/test-support.ts'
import { serviceKey } from '../../mesh/index.ts'
import { aMatch, aPolicy, aPort, aService, aWorkload } from '../../mesh/test-support.ts'
import { passthroughHandler } from './inbound-passthrough.ts'
import { connectFrom, createProxy, createSvids, type TestProxy } from './test-support.ts'

const CLIENT = '127.0.4.1'
const POD = '127.0.4.2'
const pod = aWorkload({ name: 'pod', addresses: [POD] })

interface Capture {
  readonly proxy: TestProxy
  readonly app: number
  /** The client's socket, as if it had dialled the pod at `port`; the application's by default. */
  connect(port?: number): Socket
}

async function capture(t: Test): Promise<Capture> {
  const proxy = createProxy(t, await createSvids(t), pod)
  const app = await listenTcp(t, (socket) => void received(socket).then((bytes) => socket.end(bytes)), POD)
  const handle = passthroughHandler(proxy.deps)
  const wanted: number[] = []
  const { port } = await listenTcp(t, (socket) => {
    const source = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 }
    void handle({ socket, source, destination: { address: POD, port: wanted.shift() ?? 0 } })
  })
  return {
    proxy,
    app: app.port,
    connect(to = app.port) {
      wanted.push(to)
      return connectFrom(t, CLIENT, { address: '127.0.0.1', port })
    },
  }
}

async function ask(socket: Socket): Promise<string> {
  socket.end('hello')
  return String(await received(socket))
}

t.test(
  'plaintext reaches the application, and the record says that nothing was proven (6.4, 6.6)',
  async (t) => {
    const { proxy, app, connect } = await capture(t)
    const service = aService({ ports: [aPort(80, app)] })
    proxy.mesh.upsertService(service)
    proxy.mesh.upsertWorkload(aWorkload({ name: 'client', addresses: [CLIENT] }))
    proxy.mesh.upsertWorkload({ ...pod, services: new Map([[serviceKey(service), []]]) })
    t.equal(await ask(connect()), 'hello')
    const line = proxy.log.find(({ message }) => message === 'connection complete')
    t.match(line, {
      direction: 'inbound',
      'src.workload': 'client',
      'dst.addr': `${POD}:${app}`,
      'dst.workload': 'pod',
      'dst.service': service.hostname,
      verdict: 'allowed: no allow policies, allow',
    })
    t.notOk(line !== undefined && 'src.identity' in line, 'an address proves nothing (6.2)')
  },
)

t.test('our own ports are refused, whatever the address, before anything is counted (6.1)', async (t) => {
  const { proxy, connect } = await capture(t)
  for (const port of [15_001, 15_006, 15_008]) t.equal(await ask(connect(port)), '')
  t.equal(proxy.log.length, 3)
  t.match(proxy.log[0], { message: 'connection failed', error: 'attempted recursive call to ourselves' })
})

t.test(
  'policies see no identity and the port as dialled, and a denial is a closed connection (6.3)',
  async (t) => {
    const { proxy, app, connect } = await capture(t)
    const rules = [[[aMatch({ principals: [{ kind: 'presence' }], destinationPorts: [app] })]]]
    proxy.mesh.upsertPolicy(aPolicy({ scope: 'NAMESPACE', rules }))
    t.equal(await ask(connect()), '')
    t.match(proxy.log.at(-1), {
      level: 'error',
      error: 'connection closed due to policy rejection: allow policies exist, but none allowed',
      verdict: new RegExp(
        `principals: "" against \\*: fails; destinationPorts: "${app}" against ${app}: holds`,
      ),
    })
  },
)

t.test('an application that does not listen is a failed connection (6.4)', async (t) => {
  const { proxy, connect } = await capture(t)
  t.equal(await ask(connect(1)), '')
  t.match(proxy.log.at(-1), { level: 'error', error: /^connection failed: / })
})
