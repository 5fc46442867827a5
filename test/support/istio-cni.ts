// Istio's CNI agent as a node proxy meets it: one request, one answer within
// five seconds and 1024 bytes, silence otherwise; messages from field numbers.
import { SeqpacketServer, type SeqpacketSocket } from '../../src/linux/index.ts'
import { until } from './until.ts'
import { lengthField, messages, readFields, string } from './wire.ts'

/** Both sides read into a buffer of this size. Bytes. */
export const ZDS_PACKET = 1024
/** The agent's deadline for an answer, after which it takes it for that to its next request. Milliseconds. */
const ANSWER_WITHIN_MS = 5_000

export class IstioCni {
  readonly #server: SeqpacketServer
  #socket: SeqpacketSocket | undefined
  #packets: Buffer[] = []
  #ended = false

  constructor(path: string) {
    this.#server = SeqpacketServer.listen(path)
  }

  /** Takes the next connection; returns the hello. */
  async accept(): Promise<string> {
    this.#socket?.close()
    const socket = await this.#server.accept()
    if (socket === undefined) throw new Error('closed while waiting for a proxy')
    this.#socket = socket
    this.#packets = []
    this.#ended = false
    void this.#read(socket)
    return (await this.#packet()).toString('hex')
  }

  add(uid: string, netns: { readonly fd: number }): Promise<string> {
    return this.ask(addPacket(uid), [netns.fd])
  }

  del(uid: string): Promise<string> {
    return this.ask(lengthField(2, lengthField(2, uid)))
  }

  keep(uid: string): Promise<string> {
    return this.ask(lengthField(5, lengthField(1, uid)))
  }

  snapshotSent(): Promise<string> {
    return this.ask(lengthField(3, ''))
  }

  /** The text of the answer, empty for success. */
  ask(packet: Buffer, fds: readonly number[] = []): Promise<string> {
    this.send(packet, fds)
    return this.answer()
  }

  send(packet: Buffer, fds: readonly number[] = []): void {
    if (this.#packets.length > 0) throw new Error('the proxy said something unasked')
    this.#socket?.send(packet, fds)
  }

  async answer(): Promise<string> {
    const response = readFields(await this.#packet())
    const [ack] = messages(response, 1)
    if (ack === undefined || response.size !== 1) throw new Error('an answer that is no ack')
    return string(readFields(ack), 1)
  }

  /** Whether the connection is as the agent's liveness check wants it: open, and nothing to read. */
  get quiet(): boolean {
    return !this.#ended && this.#packets.length === 0
  }

  /** Without a word, as a process that was killed. */
  hangUp(): void {
    this.#socket?.close()
  }

  close(): void {
    this.hangUp()
    this.#server.close()
  }

  async #packet(): Promise<Buffer> {
    await until(() => this.#packets.length > 0 || this.#ended, 'an answer', ANSWER_WITHIN_MS)
    const packet = this.#packets.shift()
    if (packet === undefined) throw new Error('the proxy closed the connection')
    return packet
  }

  async #read(socket: SeqpacketSocket): Promise<void> {
    for (;;) {
      const packet = await socket.receive(ZDS_PACKET).catch(() => undefined)
      if (socket !== this.#socket) return
      if (packet === undefined || packet.truncated || packet.fds.length > 0) break
      this.#packets.push(Buffer.from(packet.data))
    }
    this.#ended = true
  }
}

/** AddWorkload for `ns/<uid>`, or with a longer name so that the packet has so many bytes. */
export function addPacket(uid: string, bytes?: number): Buffer {
  const make = (name: string) => {
    const info = Buffer.concat([lengthField(1, name), lengthField(2, 'ns'), lengthField(3, 'sa')])
    return lengthField(1, Buffer.concat([lengthField(1, uid), lengthField(2, info)]))
  }
  let packet = make('pod')
  for (let name = 'pod'; bytes !== undefined && packet.length < bytes; packet = make(name)) name += 'x'
  return packet
}
