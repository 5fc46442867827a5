import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { type CapturedPacket, capturePackets } from './packet-capture.ts'
import { parseTcpSegment } from './tcp-segment.ts'
import { listenTcp, openTcpSocket } from './tcp-socket.ts'
import { namespacePair } from './test-support.ts'

const MARKER = 'marker-7f3a'

t.test('sees what is on the link, in both directions, from one interface only', async (t) => {
  const pair = namespacePair('capture')
  t.teardown(() => pair.close())
  const onLink: CapturedPacket[] = []
  const onLoopback: CapturedPacket[] = []
  const link = capturePackets({
    namespace: pair.pod,
    interface: 'eth0',
    onPacket: (packet) => onLink.push(packet),
  })
  const loopback = capturePackets({
    namespace: pair.pod,
    interface: 'lo',
    onPacket: (p) => onLoopback.push(p),
  })
  t.teardown(() => {
    link.close()
    loopback.close()
  })
  const { fd } = pair.pod.run(() => listenTcp({ address: '0.0.0.0', port: 0 }))
  const server = net.createServer((socket) => socket.pipe(socket)).listen({ fd })
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = new net.Socket({ fd: pair.client.run(() => openTcpSocket({ family: 4 })) })
  client.connect({ host: pair.podAddress, port })
  client.end(MARKER)
  await once(client, 'data')
  server.close()
  await once(server, 'close')
  link.drain()
  loopback.drain()

  const carrying = onLink.filter((packet) => Buffer.from(packet.payload).includes(MARKER))
  t.same(
    carrying.map((packet) => packet.direction),
    ['in', 'out'],
  )
  t.same(carrying[0]?.destination, { address: pair.podAddress, port })
  t.equal(carrying[0]?.source.address, pair.clientAddress)
  t.ok(onLink.some((packet) => packet.flags.syn && !packet.flags.ack))
  t.same(onLoopback, [], 'nothing of it crossed loopback')
  t.same(link.statistics(), { packets: onLink.length, droppedByKernel: 0, droppedByQueue: 0 })
})

t.test('can be iterated and closed meanwhile', async (t) => {
  const pair = namespacePair('iterate')
  t.teardown(() => pair.close())
  const capture = capturePackets({ namespace: pair.client })
  const client = new net.Socket({ fd: pair.client.run(() => openTcpSocket({ family: 4 })) })
  client.on('error', () => client.destroy())
  client.connect({ host: pair.podAddress, port: 9 })
  for await (const packet of capture) {
    t.equal(packet.destination.port, 9)
    t.ok(packet.flags.syn)
    break
  }
  const idle = capturePackets({ namespace: pair.pod })
  const ended = (async () => {
    for await (const _ of idle) t.fail('nothing is on this link any more')
  })()
  idle.drain()
  setImmediate(() => idle.close())
  await ended
  capture.close()
  capture.close()
  t.throws(() => capturePackets({ namespace: pair.pod, interface: 'nope' }), { code: 'system-call' })
})

t.test('never throws on any bytes, and stays within them', async (t) => {
  const packetLike = fc
    .tuple(fc.constantFrom(0x45, 0x46, 0x60, 0x4f), fc.uint8Array({ minLength: 0, maxLength: 100 }))
    .map(([first, rest]) => Uint8Array.from([first, ...rest]))
  fc.assert(
    fc.property(packetLike, (bytes) => {
      const fixed = Uint8Array.from(bytes)
      if (fixed.length > 9) fixed[9] = 6
      if (fixed.length > 6) fixed[6] = (fixed[0] ?? 0) >> 4 === 6 ? 6 : 0
      const segment = parseTcpSegment(fixed)
      return segment === undefined || segment.payload.length <= fixed.length
    }),
  )
  t.equal(parseTcpSegment(new Uint8Array()), undefined)
})
