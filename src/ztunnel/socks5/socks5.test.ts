import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { aService, aWorkload } from '../../mesh/test-support.ts'
import { DnsError } from '../dns/index.ts'
import { outboundHandler } from '../proxy/outbound.ts'
import { createProxy, createSvids } from '../proxy/test-support.ts'
import { type Socks5Dependencies, socks5Handler } from './handler.ts'
import { negotiate } from './negotiate.ts'

const HELLO = Buffer.from([5, 1, 0])
const toName = (name: string, port: number): Buffer =>
  Buffer.concat([
    Buffer.from([5, 1, 0, 3, name.length]),
    Buffer.from(name),
    Buffer.from([port >> 8, port & 255]),
  ])
const toLoopback = (port: number): Buffer => Buffer.from([5, 1, 0, 1, 127, 0, 0, 1, port >> 8, port & 255])
const SUCCESS = '05000001000000000000'

interface TestSocks {
  readonly port: number
  readonly log: Record<string, unknown>[]
  /** Resolves when the proxy's side of the first connection is closed. */
  readonly closed: Promise<void>
}

async function listen(t: Test, server: Server): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

const client = aWorkload({ name: 'sleep', addresses: ['127.0.0.1'], tunnelProtocol: 'NONE' })

/** A SOCKS5 port whose connections go on as captured ones do, without a mesh but for the client. */
async function startSocks(t: Test, lookup?: Socks5Dependencies['lookup']): Promise<TestSocks> {
  const { deps, log, mesh } = createProxy(t, await createSvids(t), client)
  mesh.upsertService(aService({ name: 'empty', addresses: [{ network: '', address: '10.96.0.9' }] }))
  const outbound = outboundHandler(deps)
  const handle = socks5Handler({ local: deps.local, telemetry: deps.telemetry, lookup, outbound })
  const closed = Promise.withResolvers<void>()
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    socket.on('error', () => {})
    socket.on('close', () => closed.resolve())
    const source = { address: '127.0.0.1', port: socket.remotePort ?? 0 }
    void handle({ socket, source, destination: { address: '127.0.0.1', port: 15_080 } })
  })
  return { port: await listen(t, server), log, closed: closed.promise }
}

function open(t: Test, port: number): Socket {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  socket.on('error', () => {})
  t.teardown(() => socket.destroy())
  return socket
}

async function read(socket: Socket, length: number): Promise<Buffer> {
  for (;;) {
    const bytes: Buffer | null = socket.read(length)
    if (bytes !== null) return bytes
    if (socket.readableEnded) throw new Error('ended')
    await new Promise((resolve) => {
      for (const event of ['readable', 'end', 'close']) socket.once(event, resolve)
    })
  }
}

/** Greets and asks; the reply as hexadecimal digits. */
async function ask(socket: Socket, request: Buffer): Promise<string> {
  socket.write(HELLO)
  const method = await read(socket, 2)
  if (!method.equals(Buffer.from([5, 0]))) throw new Error(`method ${method.toString('hex')}`)
  socket.write(request)
  return (await read(socket, 10)).toString('hex')
}

async function startEcho(t: Test): Promise<number> {
  return listen(
    t,
    createServer((socket) => void socket.pipe(socket)),
  )
}

t.test('7.1, 7.4 a connection by address goes where a captured one would', async (t) => {
  const { port, log } = await startSocks(t)
  const echo = await startEcho(t)
  const socket = open(t, port)
  t.equal(await ask(socket, toLoopback(echo)), SUCCESS)
  socket.end('hello')
  t.equal(String(await read(socket, 5)), 'hello')
  await once(socket.resume(), 'end')
  t.match(log.at(-1), {
    message: 'connection complete',
    direction: 'outbound',
    'dst.addr': `127.0.0.1:${echo}`,
    'src.workload': 'sleep',
    bytes_sent: 5,
  })
})

t.test('7.2 a connection by name goes to the first address of it', async (t) => {
  const asked: string[] = []
  const { port } = await startSocks(t, async (name) => {
    asked.push(name)
    return ['127.0.0.1', '192.0.2.1']
  })
  const socket = open(t, port)
  t.equal(await ask(socket, toName('httpbin.bar', await startEcho(t))), SUCCESS)
  socket.write('x')
  t.equal(String(await read(socket, 1)), 'x')
  t.strictSame(asked, ['httpbin.bar'])
})

t.test('an address in the place of a name needs no look-up', async (t) => {
  const { port } = await startSocks(t)
  t.equal(await ask(open(t, port), toName('127.0.0.1', await startEcho(t))), SUCCESS)
})

t.test('a client in a hurry sends everything at once', async (t) => {
  const { port } = await startSocks(t)
  const socket = open(t, port)
  socket.end(Buffer.concat([HELLO, toLoopback(await startEcho(t)), Buffer.from('early')]))
  t.equal((await read(socket, 2)).toString('hex'), '0500')
  t.equal((await read(socket, 10)).toString('hex'), SUCCESS)
  t.equal(String(await read(socket, 5)), 'early')
})

t.test('7.3 failure is told, each by its code', async (t) => {
  const gone = await startEcho(t)
  const closed = createServer()
  const closedPort = await listen(t, closed)
  await new Promise((resolve) => closed.close(resolve))
  const noName = async (): Promise<never> => {
    throw new DnsError('no-address', 'dns lookup: no.test has no address')
  }
  const { port, log } = await startSocks(t, noName)
  t.equal((await ask(open(t, port), toLoopback(closedPort))).slice(0, 4), '0505', 'nobody listens')
  t.equal((await ask(open(t, port), toName('no.test', gone))).slice(0, 4), '0504', 'no such name')
  t.match(log.at(-1), {
    message: 'connection failed',
    error: 'dns lookup: no.test has no address',
    'dst.addr': `no.test:${gone}`,
  })
  const vip = Buffer.from([5, 1, 0, 1, 10, 96, 0, 9, 0, 80])
  t.equal((await ask(open(t, port), vip)).slice(0, 4), '0501', 'a service without endpoints')
  t.match(log.at(-1), { error: /no healthy upstream/ })
})

t.test('7.2 a name without a DNS proxy', async (t) => {
  const { port, log } = await startSocks(t)
  t.equal((await ask(open(t, port), toName('httpbin.bar', 80))).slice(0, 4), '0504')
  t.match(log.at(-1), { error: /ISTIO_META_DNS_CAPTURE=true/ })
})

t.test('7.4 the proxy’s own ports are no destination', async (t) => {
  const { port, log } = await startSocks(t)
  t.equal((await ask(open(t, port), toLoopback(15_001))).slice(0, 4), '0501')
  t.match(log.at(-1), { error: /attempted recursive call to ourselves/ })
})

t.test('what is not SOCKS5 is cut off', async (t) => {
  const { port, log } = await startSocks(t)
  const socket = open(t, port)
  socket.write('GET / HTTP/1.1\r\n\r\n')
  await new Promise((resolve) => socket.once('close', resolve).once('end', resolve).resume())
  t.match(log.at(-1), { message: 'connection failed', error: 'socks: version 71 is not supported' })
})

t.test('a client that says nothing, or too little, is not waited for', async (t) => {
  for (const bytes of [Buffer.alloc(0), Buffer.from([5, 200, 0]), HELLO]) {
    const accepted = Promise.withResolvers<Socket>()
    const server = createServer({ pauseOnConnect: true }, (socket) => accepted.resolve(socket))
    const socket = open(t, await listen(t, server))
    socket.resume().write(bytes)
    await t.rejects(negotiate(await accepted.promise, 50), { name: 'Socks5Error', code: 'timeout' })
  }
})

t.test('a client that leaves in the middle costs nothing', async (t) => {
  const { port, log } = await startSocks(t)
  const socket = open(t, port)
  socket.end(HELLO)
  await new Promise((resolve) => socket.once('close', resolve).once('end', resolve).resume())
  t.match(log.at(-1), { error: 'socks: the client left before it asked for a connection' })
})

t.test('a client that leaves while its name is looked up opens no connection', async (t) => {
  const asked = Promise.withResolvers<void>()
  const left = Promise.withResolvers<readonly string[]>()
  const { port, log, closed } = await startSocks(t, () => {
    asked.resolve()
    return left.promise
  })
  const socket = open(t, port)
  socket.write(Buffer.concat([HELLO, toName('slow.test', 80)]))
  await asked.promise
  socket.resetAndDestroy()
  await closed
  left.resolve(['127.0.0.1'])
  await new Promise((resolve) => setImmediate(resolve))
  t.match(log.at(-1), { error: 'socks: the client left while its name was looked up' })
})
