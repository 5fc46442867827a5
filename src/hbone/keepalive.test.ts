import type { Socket } from 'node:net'
import t from 'tap'
import {
  createMesh,
  createPool,
  dialTcp,
  eventually,
  listenTcp,
  REQUEST,
  serveHbone,
  targetOf,
} from './test-support.ts'

const FAST = { pingIntervalMs: 20, pingTimeoutMs: 100 }

/** Between client and server; `freeze` drops all that comes, as a dead network does. */
async function network(
  t: Parameters<typeof listenTcp>[0],
  port: number,
): Promise<{ port: number; freeze(): void }> {
  const sockets: Socket[] = []
  const listening = await listenTcp(t, async (near) => {
    near.pause()
    const far = await dialTcp(t, port)
    near.on('data', (chunk: Buffer) => far.write(chunk)).once('close', () => far.destroy())
    far.on('data', (chunk: Buffer) => near.write(chunk)).once('close', () => near.destroy())
    near.resume()
    sockets.push(near, far)
  })
  const freeze = (): void => {
    for (const socket of sockets) socket.removeAllListeners('data').on('data', () => {})
  }
  return { port: listening.port, freeze }
}

t.test('a client finds that its peer is dead', async (t) => {
  const mesh = await createMesh()
  const served = await serveHbone(t, await mesh.issue('server'), (request) => request.accept())
  const between = await network(t, served.port)
  const pool = createPool(t, { settings: FAST })
  const { stream } = await pool.open(targetOf(between.port, await mesh.issue('client')), REQUEST)
  const failed = new Promise<Error>((resolve) => stream.once('error', resolve))
  between.freeze()
  t.match(await failed, { code: 'keepalive-timeout' })
  await eventually('the pool forgot it', () => pool.dump().length === 0)
})

t.test('a server finds that its peer is dead', async (t) => {
  const mesh = await createMesh()
  const served = await serveHbone(t, await mesh.issue('server'), (request) => request.accept(), {
    settings: FAST,
  })
  const between = await network(t, served.port)
  await createPool(t).open(targetOf(between.port, await mesh.issue('client')), REQUEST)
  between.freeze()
  await eventually('the server closed it', () => served.hbone.sessions().length === 0)
  t.match(served.errors, [{ error: { code: 'keepalive-timeout' } }])
})

t.test('a quiet connection that answers lives, also after GOAWAY', async (t) => {
  const mesh = await createMesh()
  const served = await serveHbone(t, await mesh.issue('server'), (request) => request.accept(), {
    settings: FAST,
  })
  const client = await mesh.issue('client')
  const pool = createPool(t, { settings: FAST })
  const { stream } = await pool.open(targetOf(served.port, client), REQUEST)
  // A dead peer that is found out shows that the time for it has passed.
  const others = await serveHbone(t, await mesh.issue('server'), (request) => request.accept())
  const untilADeadOneIsFound = async (): Promise<void> => {
    const between = await network(t, others.port)
    const dead = await createPool(t, { settings: FAST }).open(targetOf(between.port, client), REQUEST)
    between.freeze()
    await eventually('the dead one is found', () => dead.stream.destroyed)
  }
  await untilADeadOneIsFound()
  t.equal(stream.destroyed, false)
  void served.hbone.drain()
  await eventually('GOAWAY', () => pool.dump()[0]?.state === 'draining')
  await untilADeadOneIsFound()
  t.equal(stream.destroyed, false)
  t.same(served.errors, [])
})
