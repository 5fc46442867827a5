import { once } from 'node:events'
import { createServer, type Server, Socket } from 'node:net'
import t, { type Test } from 'tap'
import { closeDescriptor, duplicateDescriptor } from './descriptor.ts'
import { listenTcpGroup, openTcpSocket } from './tcp-socket.ts'
import { addNamespace, ip } from './test-support.ts'

const CONNECTIONS = 60

t.test(
  'connections are spread over one process\u2019s listeners; the next process gets all of them',
  async (t) => {
    const pod = addNamespace('listener-group')
    t.teardown(() => {
      pod.close()
      ip('netns', 'del', 'listener-group')
    })
    const listen = async (count: number): Promise<readonly Listener[]> => {
      const { fds } = pod.run(() => listenTcpGroup({ address: '::', port: 15008, reusePort: true, count }))
      t.equal(fds.length, count)
      return Promise.all(fds.map((fd) => accepting(t, fd)))
    }
    const old = await listen(2)
    for (const to of ['127.0.0.1', '::1']) {
      t.ok(Math.min(...(await shares(old, to))) > CONNECTIONS / 4, `both get their share of those to ${to}`)
    }

    const young = await listen(3)
    const taken = await shares([...old, ...young], '127.0.0.1')
    t.same(taken.slice(0, 2), [0, 0], 'nothing for the old process')
    t.ok(Math.min(...taken.slice(2)) > CONNECTIONS / 8, `each of the three has its share: ${taken}`)

    for (const { server } of old) server.close()
    await Promise.all(old.map(({ server }) => once(server, 'close')))
    const left = await shares(young, '127.0.0.1')
    t.equal(sum(left), CONNECTIONS, 'the young ones have the port to themselves')

    const single = await listen(1)
    t.same(
      await shares([...young, ...single], '127.0.0.1'),
      [0, 0, 0, CONNECTIONS],
      'one takes over from three',
    )

    /** How many of the connections that are made now come to each. */
    async function shares(listeners: readonly Listener[], host: string): Promise<number[]> {
      const before = listeners.map(({ accepted }) => accepted)
      for (let i = 0; i < CONNECTIONS; i++) {
        const fd = pod.run(() => openTcpSocket({ family: host.includes(':') ? 6 : 4 }))
        const socket = new Socket({ fd, ...MANUAL_START })
        socket.connect({ host, port: 15008 })
        await once(socket, 'data')
        socket.destroy()
      }
      return listeners.map(({ accepted }, i) => accepted - (before[i] ?? 0))
    }
  },
)

t.test('a listening socket lives as long as one of its descriptors', async (t) => {
  const { fds } = listenTcpGroup({ address: '127.0.0.1', port: 0 })
  const copy = duplicateDescriptor(fds[0])
  closeDescriptor(fds[0])
  const { server } = await accepting(t, copy)
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const socket = new Socket().connect(address.port, '127.0.0.1')
  const [greeting] = await once(socket, 'data')
  t.equal(String(greeting), 'hello')
  socket.destroy()
})

interface Listener {
  readonly server: Server
  accepted: number
}

async function accepting(t: Test, fd: number): Promise<Listener> {
  const listener: Listener = { accepted: 0, server: createServer() }
  listener.server.on('connection', (socket) => {
    listener.accepted++
    socket.on('error', () => {})
    socket.end('hello')
  })
  listener.server.listen({ fd })
  await once(listener.server, 'listening')
  t.teardown(() => listener.server.close())
  return listener
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0)
}

/** Reading must not begin before the connect. */
const MANUAL_START: object = { manualStart: true }
