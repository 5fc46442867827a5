import { once } from 'node:events'
import { createConnection, createServer, type Server } from 'node:net'
import t from 'tap'
import { NetworkNamespace } from '../linux/index.ts'
import { WireObserver } from './wire-observer.ts'

const MARKER = 'lab-marker-in-a-test'
const question = { marker: MARKER, clientAddress: '127.0.0.1', serverAddresses: ['127.0.0.1'] }
/** The first bytes of a TLS ClientHello, then nothing of interest. */
const HANDSHAKE = Buffer.from([0x16, 0x03, 0x01, 0x00, 0x05, 1, 2, 3, 4, 5])

t.test('what is said about a connection follows from its packets', async (t) => {
  using namespace = NetworkNamespace.current()
  using observer = new WireObserver(namespace)
  const plain = await sink(t, 0)
  const hbone = await sink(t, 15008)

  observer.begin()
  t.equal(observer.evidence(question).protocol, 'nothing')

  await send(plain, [Buffer.from(MARKER)])
  t.match(observer.evidence(question), { protocol: 'plain', markerSeen: true, tls: false })

  observer.begin()
  await send(hbone, [HANDSHAKE, Buffer.from('sealed')])
  t.match(observer.evidence(question), {
    protocol: 'HBONE',
    markerSeen: false,
    tls: true,
    flows: ['127.0.0.1 > 127.0.0.1:15008'],
  })

  observer.begin()
  await send(hbone, [Buffer.from(`CONNECT in the clear ${MARKER}`)])
  t.match(
    observer.evidence(question),
    { protocol: 'both', markerSeen: true, tls: false },
    'port 15008 alone proves nothing',
  )

  observer.begin()
  await send(plain, [Buffer.from('something else')])
  const elsewhere = { ...question, serverAddresses: ['127.0.0.9'] }
  t.equal(observer.evidence(elsewhere).protocol, 'nothing', 'flows to others are not of this connection')
})

async function sink(t: { teardown(handler: () => unknown): void }, port: number): Promise<number> {
  const server: Server = createServer((socket) => socket.resume().on('end', () => socket.end()))
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function send(port: number, chunks: readonly Buffer[]): Promise<void> {
  const socket = createConnection({ host: '127.0.0.1', port })
  socket.resume()
  socket.setNoDelay(true)
  for (const chunk of chunks) await new Promise((resolve) => socket.write(chunk, resolve))
  socket.end()
  await once(socket, 'close')
}
