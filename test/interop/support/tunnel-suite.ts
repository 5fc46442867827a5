import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Test } from 'tap'
import { until } from '../../support/until.ts'

/** One TCP connection through both proxies: what the client program holds, and what the application holds. */
export interface TunnelEnds {
  readonly client: Socket
  readonly app: Socket
}

export type OpenTunnel = () => Promise<TunnelEnds>

const MIB = 1024 * 1024
/** Each way at the same time: four times the largest window of either side. */
const BULK_BYTES = 64 * MIB
/** More than all windows and kernel buffers on the way can hold. */
const UNREAD_BYTES = 256 * MIB
const BLOCK_BYTES = 64 * 1024
/** So many polls without a change are the end of it. */
const STILL_POLLS = 10

/**
 * What any tunnel of HBONE must do with a connection's bytes and ends, whoever
 * stands at its ends. `unread` bytes reach a client that begins to read when
 * the application has long closed; 0 where nothing does.
 */
export async function tunnelSuite(t: Test, open: OpenTunnel, { unread = 3 * MIB } = {}): Promise<void> {
  await t.test('64 MiB each way at once arrive unchanged', (t) => bulk(t, open))
  await t.test('the server may speak first', (t) => serverFirst(t, open))
  await t.test('the client closes its half first: the answer still comes', (t) => clientHalf(t, open))
  if (unread > 0) {
    await t.test(
      `${unread} bytes before the application closes reach a client that reads late`,
      async (t) => {
        const answer = randomBytes(unread)
        t.equal((await readLate(open, answer)).sha256, digest(answer))
      },
    )
  }
  await t.test('a client that does not read stops the application', (t) => backPressure(t, open))
  await t.test('a client that aborts is gone for the application', (t) => abort(t, open, 'client'))
  await t.test('an application that aborts is gone for the client', (t) => abort(t, open, 'app'))
}

/** What only a proxy does that lets a tunnel live on when the application has closed its half. */
export async function halfCloseSuite(t: Test, open: OpenTunnel): Promise<void> {
  await t.test('both sides close their half at once', (t) => bothHalves(t, open))
  await t.test('16 MiB before the application closes reach a client that reads late', async (t) => {
    const answer = randomBytes(16 * MIB)
    t.equal((await readLate(open, answer)).sha256, digest(answer))
  })
  await t.test('the application closes its half first: what the client sends then arrives', async (t) => {
    t.ok(await lateRequestArrives(open))
  })
}

/** Whether what the client sends after the application has closed its half still gets there. */
export async function lateRequestArrives(open: OpenTunnel): Promise<boolean> {
  const { client, app } = await open()
  const heard = receive(app)
  app.end('greeting')
  await receive(client)
  client.end('late')
  return (await heard).text === 'late'
}

/** 64 MiB each way. The application closes last, so that whatever its proxy does then cuts nothing. */
export async function bulk(t: Test, open: OpenTunnel): Promise<void> {
  const { client, app } = await open()
  const [heard, got] = [receive(app), receive(client)]
  const [up, down] = await Promise.all([send(client, BULK_BYTES), send(app, BULK_BYTES)])
  client.end()
  t.match(await heard, { bytes: BULK_BYTES, sha256: up }, 'up')
  app.end()
  t.match(await got, { bytes: BULK_BYTES, sha256: down }, 'down')
}

export async function serverFirst(t: Test, open: OpenTunnel): Promise<void> {
  const { client, app } = await open()
  app.write('220 ready')
  const [greeting] = await once(client.resume(), 'data')
  t.equal(String(greeting), '220 ready')
  client.end()
  t.equal((await receive(app)).bytes, 0)
  app.end()
  await until(() => client.readableEnded, 'the end')
}

async function clientHalf(t: Test, open: OpenTunnel): Promise<void> {
  const { client, app } = await open()
  client.end('question')
  t.equal((await receive(app)).text, 'question')
  const answer = randomBytes(MIB)
  app.end(answer)
  t.equal((await receive(client)).sha256, digest(answer))
}

async function bothHalves(t: Test, open: OpenTunnel): Promise<void> {
  const { client, app } = await open()
  const [a, b] = [randomBytes(300_000), randomBytes(300_000)]
  client.end(a)
  app.end(b)
  const [up, down] = await Promise.all([receive(app), receive(client)])
  t.equal(up.sha256, digest(a), 'up')
  t.equal(down.sha256, digest(b), 'down')
}

/** What a client gets that begins to read only when the application has long closed. */
export async function readLate(open: OpenTunnel, answer: Buffer): Promise<Received> {
  const { client, app } = await open()
  // In blocks: of one large write the kernel's part is not counted before all of it is gone.
  for (let at = 0; at < answer.length; at += BLOCK_BYTES) app.write(answer.subarray(at, at + BLOCK_BYTES))
  app.end()
  await untilStuck(app)
  const got = await receive(client)
  client.end()
  return got
}

async function backPressure(t: Test, open: OpenTunnel): Promise<void> {
  const { client, app } = await open()
  const block = Buffer.alloc(MIB)
  for (let i = 0; i < UNREAD_BYTES / MIB; i++) app.write(block)
  const held = await untilStuck(app)
  t.ok(held < UNREAD_BYTES / 2, `kernels and proxies hold ${held} bytes`)
  client.end()
  await receive(app)
  app.end()
  t.equal((await receive(client)).bytes, UNREAD_BYTES, 'and then it gets everything')
}

/** Waits until nothing of what was written moves any more; resolves with how much of it is gone. */
async function untilStuck(socket: Socket): Promise<number> {
  const gone = (): number => socket.bytesWritten - socket.writableLength
  let before = -1
  let still = 0
  await until(() => {
    const now = gone()
    still = now === before && now > 0 ? still + 1 : 0
    before = now
    return still >= STILL_POLLS
  }, 'nothing moves any more')
  return before
}

async function abort(t: Test, open: OpenTunnel, who: keyof TunnelEnds): Promise<void> {
  const ends = await open()
  const [leaving, staying] = who === 'client' ? [ends.client, ends.app] : [ends.app, ends.client]
  leaving.write('first bytes')
  await once(staying.resume(), 'data')
  // In the middle of a stream that nobody will read to its end.
  staying.write(randomBytes(MIB))
  leaving.resetAndDestroy()
  await until(() => staying.readableEnded || staying.destroyed, 'the other end is told')
  t.pass('told')
}

/** What came out at one end. */
export interface Received {
  readonly bytes: number
  readonly sha256: string
  /** Of up to 64 KiB. */
  readonly text: string
}

/** Everything until FIN or the end of the socket. */
export function receive(socket: Socket): Promise<Received> {
  const hash = createHash('sha256')
  let bytes = 0
  let text = ''
  return new Promise((resolve) => {
    const done = (): void => resolve({ bytes, sha256: hash.digest('hex'), text })
    const finish = (): void => {
      socket.off('end', finish).off('close', finish)
      done()
    }
    if (socket.readableEnded || socket.destroyed) return done()
    socket.on('data', (chunk: Buffer) => {
      hash.update(chunk)
      bytes += chunk.length
      if (bytes <= MAX_TEXT) text += chunk.toString('latin1')
    })
    socket.once('end', finish).once('close', finish)
    socket.resume()
  })
}

/** Sends random bytes; resolves with their SHA-256 when the kernel has all of them. */
async function send(to: Socket, size: number): Promise<string> {
  const hash = createHash('sha256')
  for (let left = size; left > 0; left -= MIB) {
    const block = randomBytes(Math.min(left, MIB))
    hash.update(block)
    await new Promise<void>((resolve) => to.write(block, () => resolve()))
  }
  return hash.digest('hex')
}

function digest(data: Buffer): string {
  return createHash('sha256').update(data).digest('hex')
}

const MAX_TEXT = 64 * 1024
