import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { type DecodedPacket, decode } from 'dns-packet'
import fc from 'fast-check'
import type { Test } from 'tap'
import t from 'tap'
import { aService } from '../../mesh/test-support.ts'
import { framed, readLength } from './exchange.ts'
import {
  aMesh,
  answered,
  opt,
  question,
  records,
  startDns,
  startNameServer,
  type TestDns,
} from './test-support.ts'

function open(t: Test, { tcp }: TestDns): Socket {
  const socket = connect({ host: tcp.address, port: tcp.port, allowHalfOpen: true })
  socket.on('error', () => {})
  t.teardown(() => socket.destroy())
  return socket
}

/** The server's end, in whichever form. */
function ended(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    for (const event of ['end', 'close']) socket.once(event, () => resolve())
    socket.resume()
  })
}

async function receive(socket: Socket): Promise<DecodedPacket> {
  let length: number | undefined
  for (;;) {
    length ??= readLength(socket)
    const message: Buffer | null = length === undefined ? null : socket.read(length)
    if (message !== null) return decode(message)
    await once(socket, 'readable')
  }
}

t.test('questions follow each other on one connection', async (t) => {
  const socket = open(t, await startDns(t))
  for (let n = 0; n < 3; n++) {
    socket.write(framed(question('httpbin.bar')))
    t.strictSame(records(await receive(socket)), [['httpbin.bar', 'A', '10.96.0.1']])
  }
})

t.test('a question may come in any pieces', async (t) => {
  const socket = open(t, await startDns(t))
  socket.setNoDelay(true)
  for (const byte of framed(question('httpbin.bar'))) {
    socket.write(Buffer.from([byte]))
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.match(await receive(socket), { rcode: 'NOERROR' })
})

t.test('many questions at once are all answered, the quick ones before the slow one', async (t) => {
  const nameServer = await startNameServer(t, () => undefined)
  const socket = open(t, await startDns(t, { nameServer, resolv: { timeoutMs: 300 } }))
  const messages = Array.from({ length: 100 }, (_, id) => {
    const message = question(id === 0 ? 'slow.test' : 'httpbin.bar')
    message.writeUInt16BE(id, 0)
    return framed(message)
  })
  socket.write(Buffer.concat(messages))
  const order: number[] = []
  for (let n = 0; n < 100; n++) order.push((await receive(socket)).id ?? -1)
  t.equal(order.at(-1), 0)
  t.equal(new Set(order).size, 100)
})

t.test('12.9 TCP is not cut', async (t) => {
  const mesh = aMesh()
  const addresses = Array.from({ length: 1000 }, (_, n) => ({
    network: '',
    address: `10.97.${n >> 8}.${n & 255}`,
  }))
  mesh.upsertService(aService({ name: 'many', namespace: 'bar', addresses }))
  const socket = open(t, await startDns(t, { mesh }))
  socket.write(framed(question('many.bar', 'A', { additionals: [opt(512)] })))
  const reply = await receive(socket)
  t.match({ tc: reply.flag_tc, count: reply.answers?.length }, { tc: false, count: 1000 })
})

t.test('a client that has said all it wants still gets its answer', async (t) => {
  const socket = open(t, await startDns(t))
  socket.end(framed(question('httpbin.bar')))
  t.match(await receive(socket), { rcode: 'NOERROR' })
  await once(socket, 'end')
})

t.test('12.2 a response over TCP is FORMERR', async (t) => {
  const socket = open(t, await startDns(t))
  const message = question('httpbin.bar')
  message.writeUInt16BE(0x8180, 2)
  socket.write(framed(message))
  t.match(await receive(socket), { id: 0x1234, rcode: 'FORMERR' })
})

for (const [what, bytes] of [
  ['no message in its frame', Buffer.from([0, 0])],
  ['less than a header in its frame', Buffer.from([0, 3, 1, 2, 3])],
] as const) {
  t.test(`${what} ends the connection`, async (t) => {
    const socket = open(t, await startDns(t))
    socket.write(bytes)
    await ended(socket)
  })
}

t.test('12.9 a connection without a question ends after five seconds, one that trickles too', async (t) => {
  const dns = await startDns(t)
  const [silent, trickling] = [open(t, dns), open(t, dns)]
  const began = performance.now()
  const trickle = setInterval(() => trickling.write(Buffer.from([0])), 500)
  t.teardown(() => clearInterval(trickle))
  trickling.write(Buffer.from([0xff, 0xff]))
  await Promise.all([ended(silent), ended(trickling)])
  const took = performance.now() - began
  t.ok(took > 4900 && took < 9000, `${took} ms`)
})

t.test('12.8 a question over TCP goes up over TCP', async (t) => {
  const nameServer = await startNameServer(t, (query, transport) =>
    answered(query, { answers: [{ type: 'TXT', name: 'large.test', data: transport }] }),
  )
  const socket = open(t, await startDns(t, { nameServer }))
  socket.write(framed(question('large.test', 'TXT')))
  await receive(socket)
  t.strictSame(nameServer.asked, ['tcp'])
})

t.test('12.8 a name server without TCP is asked over UDP', async (t) => {
  const udpOnly = createSocket('udp4')
  t.teardown(() => udpOnly.close())
  await once(udpOnly.bind(0, '127.0.0.1'), 'listening')
  udpOnly.on('message', (query, { port, address }) =>
    udpOnly.send(answered(query, { answers: [{ type: 'TXT', name: 'x.test', data: 'udp' }] }), port, address),
  )
  const nameServer = { port: udpOnly.address().port, asked: [], messages: [] }
  const socket = open(t, await startDns(t, { nameServer }))
  socket.write(framed(question('x.test', 'TXT')))
  t.match(await receive(socket), { rcode: 'NOERROR', answers: [{ type: 'TXT' }] })
})

t.test('12.10 a drain answers what was asked, and takes nothing new', async (t) => {
  const asked = Promise.withResolvers<void>()
  const nameServer = await startNameServer(t, () => {
    asked.resolve()
    return undefined
  })
  const dns = await startDns(t, { nameServer, resolv: { timeoutMs: 200 } })
  const socket = open(t, dns)
  socket.write(framed(question('slow.test')))
  await asked.promise
  const drained = dns.proxy.drain()
  const refused = connect(dns.tcp.port, dns.tcp.address)
  await t.rejects(once(refused, 'connect'), { code: 'ECONNREFUSED' })
  t.match(await receive(socket), { rcode: 'SERVFAIL' })
  await drained
})

t.test('any bytes on a connection are survived', async (t) => {
  const dns = await startDns(t)
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 2, maxLength: 200 }), async (bytes) => {
      const socket = open(t, dns)
      socket.end(framed(bytes))
      await ended(socket)
    }),
    { numRuns: 100 },
  )
  const socket = open(t, dns)
  socket.write(framed(question('httpbin.bar')))
  t.match(await receive(socket), { rcode: 'NOERROR' })
})
