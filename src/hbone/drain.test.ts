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

t.test('a drain is final only when a PING that came after its GOAWAY is answered', async (t) => {
  // A peer may answer one that came before, open tunnels, and only then read that it must not.
  const mesh = await createMesh()
  const served = await serveHbone(t, await mesh.issue('server'), (request) => request.accept())
  const client = await RawClient.connect(t, served.port, await mesh.issue('client'))
  client.open(1)
  await eventually('a tunnel', () => client.types.includes(HEADERS))
  void served.hbone.drain()
  await eventually('the end', () => client.goaways.length === 2)
  t.same(client.goaways, [HIGHEST_STREAM, 1])
  const { types } = client
  t.ok(types.slice(types.indexOf(GOAWAY), types.lastIndexOf(GOAWAY)).includes(PING), types.join(' '))
})

/** An HTTP/2 client that does nothing by itself but answer PING. */
class RawClient {
  readonly types: number[] = []
  /** The last stream that each GOAWAY names. */
  readonly goaways: number[] = []
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
    await eventually('SETTINGS', () => client.types.includes(SETTINGS))
    return client
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
    this.types.push(type)
    if (type === GOAWAY) this.goaways.push(payload.readUInt32BE(0))
    if (type === PING && flags !== ACK) this.#write(frame(PING, ACK, payload))
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
