import { once } from 'node:events'
import { createServer, type Server, Socket } from 'node:net'
import t, { type Test } from 'tap'
import { listenTcp, openTcpSocket } from './tcp-socket.ts'
import { addNamespace, ip } from './test-support.ts'

const CONNECTIONS = 50

t.test(
  'of two listeners on a port the younger gets every connection, until one of them closes',
  async (t) => {
    const pod = addNamespace('reuse-port')
    t.teardown(() => {
      pod.close()
      ip('netns', 'del', 'reuse-port')
    })
    const listen = (): Promise<Listener> => {
      const { fd } = pod.run(() => listenTcp({ address: '::', port: 15008, reusePort: true }))
      return accepting(t, fd)
    }
    const old = await listen()
    t.equal(await share(old, undefined), CONNECTIONS, 'alone')
    const young = await listen()
    t.equal(await share(young, old), CONNECTIONS, 'replaced')
    old.server.close()
    await once(old.server, 'close')
    t.equal(await share(young, undefined), CONNECTIONS, 'the old one has gone')
    const next = await listen()
    t.equal(await share(next, young), CONNECTIONS, 'replaced again')
    next.server.close()
    await once(next.server, 'close')
    t.equal(await share(young, undefined), CONNECTIONS, 'a replacement that fails gives back')

    /** How many of the connections that are made now come to `to`. */
    async function share(to: Listener, other: Listener | undefined): Promise<number> {
      const before = to.accepted
      const others = other?.accepted ?? 0
      for (let i = 0; i < CONNECTIONS; i++) {
        const socket = new Socket({ fd: pod.run(() => openTcpSocket({ family: 4 })), ...MANUAL_START })
        socket.connect({ host: '127.0.0.1', port: 15008 })
        await once(socket, 'data')
        socket.destroy()
      }
      t.equal(other?.accepted ?? 0, others)
      return to.accepted - before
    }
  },
)

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

/** Reading must not begin before the connect. */
const MANUAL_START: object = { manualStart: true }
