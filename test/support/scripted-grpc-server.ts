// A gRPC server that does what a test says, frame by frame: no HTTP/2 library
// would let these bytes out.
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:tls'
import type { Test } from 'tap'
import {
  CLIENT_PREFACE,
  contentOf,
  dataFrame,
  type ErrorName,
  encodeFrame,
  FLAG,
  FRAME,
  type Frame,
  FrameParser,
  goawayFrame,
  pingFrame,
  resetFrame,
  settingsFrame,
  windowUpdateFrame,
} from '../../src/conformance/frames.ts'
import { encodeFields, type Fields } from '../../src/conformance/hpack.ts'
import { CertificateAuthority, createInMemoryCa } from '../../src/identity/index.ts'
import { until } from './until.ts'

export interface ScriptedServerOptions {
  /** Read what clients send on their streams, beyond the first 64 KiB. Default true. */
  readonly reads?: boolean
}

export class ScriptedGrpcServer {
  readonly address: string
  /** That clients must trust, PEM. */
  readonly rootsPem: string
  readonly #calls: ScriptedCall[] = []
  /** All that were ever made. */
  connections = 0

  static async open(t: Test, options: ScriptedServerOptions = {}): Promise<ScriptedGrpcServer> {
    const material = await createInMemoryCa()
    const names = { dnsNames: [], ipAddresses: ['127.0.0.1'], ttlSeconds: 3600 }
    const tls = await new CertificateAuthority(material).issueServerCertificate(names)
    const listener = createServer({ ...tls, ALPNProtocols: ['h2'] })
    const sockets = new Set<Socket>()
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    t.teardown(() => {
      for (const socket of sockets) socket.destroy()
      listener.close()
    })
    const { port } = listener.address() as AddressInfo
    const server = new ScriptedGrpcServer(`https://127.0.0.1:${port}`, material.rootsPem)
    listener.on('secureConnection', (socket) => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
      server.connections++
      serve(socket, options.reads ?? true, (call) => server.#calls.push(call))
    })
    return server
  }

  private constructor(address: string, rootsPem: string) {
    this.address = address
    this.rootsPem = rootsPem
  }

  /** The next call that a client makes, and that was not taken yet. */
  async call(): Promise<ScriptedCall> {
    await until(() => this.#calls.length > 0, 'a call')
    const call = this.#calls.shift()
    if (call === undefined) throw new Error('no call')
    return call
  }
}

/** One call; whatever is sent goes out at once and unchecked. */
export class ScriptedCall {
  readonly #socket: Socket
  readonly streamId: number
  /** Messages that came and were not taken. */
  readonly received: Buffer[] = []
  #unread = Buffer.alloc(0)
  #pongs = 0
  /** By the client: its half of the stream, all of it, or the connection. */
  ended: 'half' | 'reset' | 'connection' | undefined

  constructor(socket: Socket, streamId: number) {
    this.#socket = socket
    this.streamId = streamId
  }

  /** The client's next message. */
  async next(): Promise<Buffer> {
    await until(() => this.received.length > 0 || this.ended !== undefined, 'a request')
    const message = this.received.shift()
    if (message === undefined) throw new Error(`the client ended: ${this.ended}`)
    return message
  }

  headers(fields: Fields = OK, endStream = false): void {
    const flags = FLAG.END_HEADERS | (endStream ? FLAG.END_STREAM : 0)
    this.frame({ type: FRAME.HEADERS, flags, payload: encodeFields(fields) })
  }

  message(body: Buffer): void {
    this.data(envelope(body))
  }

  /** `frameBytes`: of each DATA frame. */
  data(bytes: Buffer, frameBytes = 16_384): void {
    const frames: Buffer[] = []
    for (let at = 0; at < bytes.length; at += frameBytes)
      frames.push(dataFrame(this.streamId, bytes.subarray(at, at + frameBytes)))
    this.bytes(Buffer.concat(frames))
  }

  trailers(status: number | string, message = ''): void {
    this.headers(
      [['grpc-status', String(status)], ...(message === '' ? [] : ([['grpc-message', message]] as const))],
      true,
    )
  }

  trailersOnly(status: number, message = ''): void {
    this.headers([...OK, ['grpc-status', String(status)], ['grpc-message', message]], true)
  }

  endStream(): void {
    this.bytes(dataFrame(this.streamId, Buffer.alloc(0), true))
  }

  reset(code: ErrorName): void {
    this.bytes(resetFrame(this.streamId, code))
  }

  goaway(code: ErrorName, lastStreamId = this.streamId): void {
    this.bytes(goawayFrame(lastStreamId, code))
  }

  frame(frame: Parameters<typeof encodeFrame>[0]): void {
    this.bytes(encodeFrame({ streamId: this.streamId, ...frame }))
  }

  bytes(bytes: Buffer): void {
    if (!this.#socket.destroyed) this.#socket.write(bytes)
  }

  /** Resolves when the client's HTTP/2 has taken in all that was sent. */
  async readByClient(): Promise<void> {
    const before = this.#pongs
    this.bytes(pingFrame())
    await until(() => this.#pongs > before, 'the answer to a PING')
  }

  /** TCP ends without TLS's farewell. */
  hangUp(): void {
    this.#socket.destroy()
  }

  /** Of the connection's frames those that concern this call. */
  take({ type, flags, payload }: Frame, content: Buffer): void {
    if (type === FRAME.PING) this.#pongs++
    if (type === FRAME.RST_STREAM) this.ended ??= 'reset'
    if (type !== FRAME.DATA || payload.length === 0) return
    if ((flags & FLAG.END_STREAM) !== 0) this.ended ??= 'half'
    this.#unread = Buffer.concat([this.#unread, content])
    while (this.#unread.length >= PREFIX) {
      const end = PREFIX + this.#unread.readUInt32BE(1)
      if (this.#unread.length < end) break
      this.received.push(Buffer.from(this.#unread.subarray(PREFIX, end)))
      this.#unread = this.#unread.subarray(end)
    }
  }
}

/** A gRPC message: flag, length, body. */
export function envelope(body: Buffer, claimedLength = body.length, flag = 0): Buffer {
  const prefix = Buffer.alloc(PREFIX)
  prefix.writeUInt8(flag)
  prefix.writeUInt32BE(claimedLength, 1)
  return Buffer.concat([prefix, body])
}

const OK: Fields = [
  [':status', '200'],
  ['content-type', 'application/grpc+proto'],
]
const PREFIX = 5

function serve(socket: Socket, reads: boolean, onCall: (call: ScriptedCall) => void): void {
  const parser = new FrameParser()
  const calls = new Map<number, ScriptedCall>()
  let preface = CLIENT_PREFACE.length
  socket.on('error', () => {})
  socket.on('close', () => {
    for (const call of calls.values()) call.ended ??= 'connection'
  })
  socket.write(settingsFrame())
  socket.on('data', (chunk: Buffer) => {
    const skipped = Math.min(preface, chunk.length)
    preface -= skipped
    for (const frame of parser.push(chunk.subarray(skipped))) onFrame(frame)
  })
  const write = (bytes: Buffer) => void (socket.writable && socket.write(bytes))
  const onFrame = (frame: Frame): void => {
    const { type, flags, streamId, payload } = frame
    const isAck = (flags & FLAG.ACK) !== 0
    if (type === FRAME.SETTINGS && !isAck) write(encodeFrame({ type, flags: FLAG.ACK }))
    else if (type === FRAME.PING && !isAck) write(pingFrame(payload, FLAG.ACK))
    else if (type === FRAME.PING) for (const call of calls.values()) call.take(frame, payload)
    else if (type === FRAME.HEADERS && !calls.has(streamId)) {
      const call = new ScriptedCall(socket, streamId)
      calls.set(streamId, call)
      onCall(call)
    } else calls.get(streamId)?.take(frame, contentOf(frame))
    if (type !== FRAME.DATA || payload.length === 0 || !reads) return
    write(windowUpdateFrame(0, payload.length))
    if (!isAck) write(windowUpdateFrame(streamId, payload.length))
  }
}
