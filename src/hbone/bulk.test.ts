import { createHash, type Hash, randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { dialTcp, tunnel } from './test-support.ts'

const BLOCK = randomBytes(256 * 1024)
const BLOCKS = 256

/** 64 MiB, each block different, and their hash. */
function* blocks(hash: Hash): Generator<Buffer> {
  for (let index = 0; index < BLOCKS; index++) {
    const block = Buffer.from(BLOCK)
    block.writeUInt32BE(index)
    hash.update(block)
    yield block
  }
}

async function exchange(socket: Socket): Promise<{ sent: string; received: string }> {
  const sent = createHash('sha256')
  const received = createHash('sha256')
  const reading = new Promise((resolve) => {
    socket.on('data', (chunk: Buffer) => received.update(chunk)).once('end', resolve)
  })
  await Promise.all([pipeline(blocks(sent), socket), reading])
  return { sent: sent.digest('hex'), received: received.digest('hex') }
}

t.test('64 MiB both ways at once arrive whole', async (t) => {
  let app: ReturnType<typeof exchange> | undefined
  const { port } = await tunnel(t, (socket) => {
    app = exchange(socket)
  })
  const client = await exchange(await dialTcp(t, port))
  const server = await app
  t.equal(server?.received, client.sent)
  t.equal(client.received, server?.sent)
})
