import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import t from 'tap'
import { closeQuietly } from './libc.ts'
import {
  listenTcp,
  openTcpSocket,
  originalDestination,
  setKeepAlive,
  setMark,
  setUserTimeout,
  socketFd,
} from './tcp-socket.ts'

const ECHO = (socket: net.Socket) => socket.pipe(socket)

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length
}

async function serve(address: string, reusePort = false): Promise<{ server: net.Server; port: number }> {
  const { fd } = listenTcp({ address, port: 0, mark: 0x539, transparent: 'auto', reusePort })
  const server = net.createServer(ECHO).listen({ fd })
  await once(server, 'listening')
  return { server, port: (server.address() as AddressInfo).port }
}

async function closed(server: net.Server): Promise<void> {
  server.close()
  await once(server, 'close')
}

async function exchange(family: 4 | 6, address: string, port: number, source?: string): Promise<string> {
  const options = source === undefined ? {} : { transparentSource: source }
  const socket = new net.Socket({ fd: openTcpSocket({ family, ...options }) }).connect({
    host: address,
    port,
  })
  const ended = once(socket, 'close')
  socket.end('hello')
  const [chunk] = await once(socket, 'data')
  await ended
  return String(chunk)
}

t.test('Node serves and connects on our descriptors; nothing stays open', async (t) => {
  await exchange(4, '127.0.0.1', (await keep()).port)
  const before = openDescriptors()
  const { server, port } = await serve('::')
  t.equal(await exchange(4, '127.0.0.1', port), 'hello', 'IPv4 on a dual-stack listener')
  t.equal(await exchange(6, '::1', port), 'hello')
  t.equal(await exchange(4, '127.0.0.1', port, '127.0.0.77'), 'hello')
  await closed(server)
  t.equal(openDescriptors(), before)

  // One exchange before counting: the event loop opens descriptors of its own on first use.
  async function keep(): Promise<{ port: number }> {
    const kept = await serve('::')
    t.teardown(() => kept.server.close())
    return kept
  }
})

t.test('a foreign source address is what the server sees', async (t) => {
  const { fd } = listenTcp({ address: '0.0.0.0', port: 0 })
  const server = net
    .createServer((socket) => socket.resume().end(String(socket.remoteAddress)))
    .listen({ fd })
  await once(server, 'listening')
  // On loopback the answer to any of 127/8 comes back without routing rules.
  t.equal(await exchange(4, '127.0.0.1', (server.address() as AddressInfo).port, '127.1.2.3'), '127.1.2.3')
  await closed(server)
})

t.test('a failed bind leaves no descriptor', async (t) => {
  const { server, port } = await serve('127.0.0.1')
  const before = openDescriptors()
  t.throws(() => listenTcp({ address: '127.0.0.1', port }), /EADDRINUSE/)
  t.throws(() => listenTcp({ address: '192.0.2.1', port }), /EADDRNOTAVAIL/)
  t.throws(() => listenTcp({ address: 'localhost', port }), { code: 'invalid-argument' })
  t.throws(() => openTcpSocket({ family: 4, transparentSource: '::1' }))
  t.equal(openDescriptors(), before)
  await closed(server)
})

t.test('two listeners share a port when both ask for it', async (t) => {
  const first = listenTcp({ address: '127.0.0.1', port: 0, reusePort: true })
  const probe = net.createServer().listen({ fd: first.fd })
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  const second = listenTcp({ address: '127.0.0.1', port, reusePort: true })
  closeQuietly(second.fd)
  await closed(probe)
  t.pass()
})

t.test('options are taken; a connection that was not redirected has no original destination', async (t) => {
  const { server, port } = await serve('::')
  t.equal(listenTcpTransparent(), true)
  const socket = net.connect({ host: '127.0.0.1', port })
  await once(socket, 'connect')
  const fd = socketFd(socket) ?? -1
  t.ok(fd >= 0)
  t.equal(setKeepAlive(fd, { time: 180_000, interval: 180_000, retries: 9 }), true)
  t.equal(
    setKeepAlive(fd, { time: 1, interval: 1e12, retries: 1e12 }),
    true,
    'clamped to what the kernel takes',
  )
  t.equal(setUserTimeout(fd, 1_800_000), true)
  setMark(fd, 0x539)
  t.equal(originalDestination(fd), undefined)
  socket.destroy()
  await once(socket, 'close')
  t.equal(socketFd(socket), undefined)
  await closed(server)

  function listenTcpTransparent(): boolean {
    const { fd, transparent } = listenTcp({ address: '::', port: 0, transparent: 'required' })
    closeQuietly(fd)
    return transparent
  }
})
