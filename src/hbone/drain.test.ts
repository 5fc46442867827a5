import { once } from 'node:events'
import { connect } from 'node:tls'
import t, { type Test } from 'tap'
import type { Svid } from '../identity/svid.ts'
import { createMesh, eventually, serveHbone } from './test-support.ts'

const HEADERS = 1
const SETTINGS = 4
const PING = 6
const GOAWAY = 7
const ACK = 1
const END_HEADERS = 4
const FRAME_HEAD = 9
const HIGHEST_STREAM = 2 ** 31 - 1

for (const busy of [true, false]) {
  t.test(`a drain loses no tunnel that was on its way: ${busy ? 'busy' : 'idle'} connection`, async (t) => {
    const mesh = await createMesh()
    const served = await serveHbone(t, await mesh.issue('server'), (request) => request.accept())
    const client = await RawClient.connect(t, served.port, await mesh.issue('client'))
    await eventually('a connection', () => served.hbone.sessions().length === 1)
    if (busy) client.open(1)
    await eventually('a tunnel', () => client.answers === (busy ? 1 : 0))
    client.answersPings = false
    void served.hbone.drain()
    await eventually('PING', () => client.pings.length > 0)
    t.same(client.goaways, [HIGHEST_STREAM], 'no more, and nothing is refused yet')
    client.open(3)
    await eventually('the tunnel is served', () => client.answers === (busy ? 2 : 1))
    client.answerPings()
    await eventually('the last GOAWAY', () => client.goaways.length > 1)
    t.same(client.goaways, [HIGHEST_STREAM, 3], 'names the last tunnel that was taken')
  })
}

t.test('a drain does not wait for a peer that does not answer', async (t) => {
  const mesh = await createMesh()
  const served = await serveHbone(t, await mesh.issue('server'), (request) => request.accept())
  const client = await RawClient.connect(t, served.port, await mesh.issue('client'))
  await eventually('a connection', () => served.hbone.sessions().length === 1)
  client.answersPings = false
  await served.hbone.drain()
  t.same(client.goaways, [HIGHEST_STREAM, 0])
})

/** An HTTP/2 client that does nothing by itself but answer PING. */
class RawClient {
  /** Frames of SETTINGS, of HEADERS. */
  settings = 0
  answers = 0
  readonly pings: Buffer[] = []
  /** The last stream that each GOAWAY names. */
  readonly goaways: number[] = []
  answersPings = true
  #rest: Buffer = Buffer.alloc(0)
  readonly #write: (bytes: Buffer) => void

  private constructor(write: (bytes: Buffer) => void) {
    this.#write = write
  }

  static async connect(t: Test, port: number, svid: Svid): Promise<RawClient> {
    const tls = connect({
      port,
      host: '127.0.0.1',
      secureContext: svid.clientContext(),
      ALPNProtocols: ['h2'],
      checkServerIdentity: () => undefined,
    })
    tls.on('error', () => {})
    t.teardown(() => tls.destroy())
    await once(tls, 'secureConnect')
    const client = new RawClient((bytes) => void tls.write(bytes))
    tls.on('data', (bytes: Buffer) => client.#read(bytes))
    tls.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    tls.write(frame(SETTINGS))
    await eventually('SETTINGS', () => client.settings > 0)
    return client
  }

  answerPings(): void {
    for (const payload of this.pings.splice(0)) this.#write(frame(PING, ACK, payload))
  }

  /** CONNECT. Both fields are literals with a name from the static table (RFC 7541, appendix A). */
  open(streamId: number): void {
    const fields = [
      [0x02, 'CONNECT'],
      [0x01, '127.0.0.1:80'],
    ] as const
    const block = fields.map(([name, value]) => Buffer.from([name, value.length, ...Buffer.from(value)]))
    this.#write(frame(HEADERS, END_HEADERS, Buffer.concat(block), streamId))
  }

  #read(bytes: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, bytes])
    while (this.#rest.length >= FRAME_HEAD) {
      const end = FRAME_HEAD + this.#rest.readUIntBE(0, 3)
      if (this.#rest.length < end) return
      this.#frame(this.#rest.readUInt8(3), this.#rest.readUInt8(4), this.#rest.subarray(FRAME_HEAD, end))
      this.#rest = this.#rest.subarray(end)
    }
  }

  #frame(type: number, flags: number, payload: Buffer): void {
    if (type === GOAWAY) this.goaways.push(payload.readUInt32BE(0))
    if (type === HEADERS) this.answers++
    if ((flags & ACK) !== 0) return
    if (type === SETTINGS) this.settings++
    if (type !== PING) return
    this.pings.push(Buffer.from(payload))
    if (this.answersPings) this.answerPings()
  }
}

function frame(type: number, flags = 0, payload: Buffer = Buffer.alloc(0), streamId = 0): Buffer {
  const head = Buffer.alloc(FRAME_HEAD)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(streamId, 5)
  return Buffer.concat([head, payload])
}
