import { once } from 'node:events'
import type { Socket } from 'node:net'
import t from 'tap'
import { dialTcp, tunnel } from './test-support.ts'

const OFFERED = 256 * 1024 * 1024
/**
 * What may be under way when nobody reads: a stream window (4 MiB) and a pump's
 * buffer in each proxy, and the kernel's buffers of three TCP connections.
 */
const MOST_UNREAD = 48 * 1024 * 1024

/** Writes until the socket takes no more for a while; returns how much it took. */
async function fill(socket: Socket): Promise<number> {
  const chunk = Buffer.alloc(256 * 1024)
  for (let sent = 0; sent < OFFERED; ) {
    sent += chunk.length
    if (socket.write(chunk)) continue
    const stuck = AbortSignal.timeout(500)
    try {
      await once(socket, 'drain', { signal: stuck })
    } catch {
      return sent
    }
  }
  return OFFERED
}

function count(socket: Socket): Promise<number> {
  return new Promise((resolve) => {
    let bytes = 0
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length
    })
    socket.once('end', () => resolve(bytes)).resume()
  })
}

t.test('a slow server stops the client, and loses nothing', async (t) => {
  const apps: Socket[] = []
  const { port } = await tunnel(t, (app) => apps.push(app.pause()))
  const client = await dialTcp(t, port)
  const sent = await fill(client)
  t.ok(sent < MOST_UNREAD, `took ${sent} bytes`)
  const app = apps[0]
  if (app === undefined) throw new Error('the application saw no connection')
  const total = count(app)
  client.end()
  t.equal(await total, sent)
})

t.test('a slow client stops the server, and loses nothing', async (t) => {
  let filling: Promise<number> | undefined
  const { port } = await tunnel(t, (app) => {
    filling = fill(app).then((sent) => {
      app.end()
      return sent
    })
  })
  const client = await dialTcp(t, port)
  client.pause()
  client.write('go')
  while (filling === undefined) await new Promise(setImmediate)
  const sent = await filling
  t.ok(sent < MOST_UNREAD, `took ${sent} bytes`)
  t.equal(await count(client), sent)
})

t.test('a tunnel that nobody reads does not stop its neighbours', async (t) => {
  const apps: Socket[] = []
  const { port, served } = await tunnel(t, (app) => {
    apps.push(app)
    if (apps.length > 1) app.on('data', (chunk: Buffer) => app.write(chunk))
  })
  await fill(await dialTcp(t, port))
  const neighbour = await dialTcp(t, port)
  neighbour.write('ping')
  const [echo] = await once(neighbour, 'data')
  t.equal(String(echo), 'ping')
  t.equal(served.hbone.sessions().length, 1, 'on the same connection')
})
