// Reads share one buffer among all connections of a thread. Whoever keeps bytes beyond
// the call has to have copied them: here, readers keep all of them, while others' bytes
// go through the same buffer.
import { createHash, randomBytes } from 'node:crypto'
import { connect as connectHttp2 } from 'node:http2'
import { connect as connectTls } from 'node:tls'
import t, { type Test } from 'tap'
import type { Svid } from '../../identity/svid.ts'
import { pump } from '../pump.ts'
import type { HboneRequest } from '../request.ts'
import {
  createMesh,
  createPool,
  eventually,
  REQUEST,
  serveHbone,
  targetOf,
  tcpPair,
} from '../test-support.ts'
import type { TunnelDuplex } from './tunnel-duplex.ts'

const TUNNELS = 8
const BYTES = 600_000

function hashOf(chunks: readonly Buffer[]): string {
  const hash = createHash('sha256')
  for (const chunk of chunks) hash.update(chunk)
  return hash.digest('hex')
}

function sizeOf(chunks: readonly Buffer[]): number {
  return chunks.reduce((sum, { length }) => sum + length, 0)
}

async function node(t: Test, port: number, svid: Svid): Promise<ReturnType<typeof connectHttp2>> {
  const tls = connectTls({
    port,
    host: '127.0.0.1',
    secureContext: svid.clientContext(),
    ALPNProtocols: ['h2'],
    checkServerIdentity: () => undefined,
  })
  await new Promise((resolve) => tls.once('secureConnect', resolve))
  const session = connectHttp2('https://hbone.invalid', { createConnection: () => tls })
  session.on('error', () => {})
  t.teardown(() => session.destroy())
  return session
}

t.test('what a reader keeps, or comes to read late, stays what it was', async (t) => {
  const mesh = await createMesh()
  const kept = new Map<string, Buffer[]>()
  const late: TunnelDuplex[] = []
  const waiting: HboneRequest[] = []
  const served = await serveHbone(t, await mesh.issue('server'), (request) => {
    const kind = request.headers.baggage ?? ''
    const chunks: Buffer[] = []
    kept.set(kind, chunks)
    if (kind.startsWith('unanswered')) return void waiting.push(request)
    const stream = request.accept()
    stream.on(kind.startsWith('late') ? 'late' : 'data', (chunk: Buffer) => void chunks.push(chunk))
    if (kind.startsWith('late')) late.push(stream)
  })
  const clients = await Promise.all([1, 2].map(async () => node(t, served.port, await mesh.issue('client'))))
  const expected = new Map<string, string>()
  for (let i = 0; i < TUNNELS * 3; i++) {
    const kind = `${['now', 'late', 'unanswered'][i % 3]} ${i}`
    const bytes = randomBytes(BYTES)
    expected.set(kind, hashOf([bytes]))
    const stream = clients[i % 2]?.request(
      { ':method': 'CONNECT', ':authority': REQUEST.authority, baggage: kind },
      { endStream: false },
    )
    stream?.on('error', () => {})
    for (let at = 0; at < BYTES; ) {
      const size = 1 + Math.floor(Math.random() * 40_000)
      stream?.write(bytes.subarray(at, at + size))
      at += size
    }
  }
  const done = (kind: string): boolean =>
    Array.from(kept)
      .filter(([name]) => name.startsWith(kind))
      .every(([, chunks]) => sizeOf(chunks) === BYTES)
  await eventually('all requests', () => kept.size === TUNNELS * 3)
  await eventually('those that read have it', () => done('now'))
  for (const request of waiting) {
    const chunks = kept.get(request.headers.baggage ?? '')
    request.accept().on('data', (chunk: Buffer) => void chunks?.push(chunk))
  }
  await eventually('those that were not answered', () => done('unanswered'))
  const lateKinds = Array.from(kept.keys()).filter((name) => name.startsWith('late'))
  for (const [i, stream] of late.entries()) {
    stream.on('data', (chunk: Buffer) => void kept.get(lateKinds[i] ?? '')?.push(chunk))
  }
  await eventually('those that read late', () => done('late'))
  for (const [kind, chunks] of kept) t.equal(hashOf(chunks), expected.get(kind), kind)
})

t.test('what a socket has for a tunnel without a window stays what it was', async (t) => {
  const mesh = await createMesh()
  const got: TunnelDuplex[] = []
  const served = await serveHbone(t, await mesh.issue('server'), (request) => void got.push(request.accept()))
  const pool = createPool(t)
  const client = await mesh.issue('client')
  const sent: Buffer[] = []
  for (let i = 0; i < TUNNELS; i++) {
    const { ours, theirs } = await tcpPair(t)
    const { tunnel } = await pool.open(targetOf(served.port, client), REQUEST)
    void pump(ours, tunnel, { sent: 0, received: 0 })
    // More than the window of a stream: the rest waits, of every tunnel in its own memory.
    const bytes = randomBytes(5_000_000)
    sent.push(bytes)
    theirs.end(bytes)
  }
  await eventually('all tunnels', () => got.length === TUNNELS)
  await eventually('their windows are full', () =>
    got.every(({ tunnel }) => tunnel.receiveWindow < 1_100_000),
  )
  const hashes = await Promise.all(
    got.map(async (stream) => {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => void chunks.push(chunk))
      await new Promise((resolve) => stream.once('end', resolve))
      return hashOf(chunks)
    }),
  )
  t.same(
    hashes,
    sent.map((bytes) => hashOf([bytes])),
  )
})
