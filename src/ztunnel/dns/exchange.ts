import { createSocket } from 'node:dgram'
import type { Socket } from 'node:net'
import { formatSocketAddress, type SocketAddress } from '../../mesh/index.ts'
import type { SocketFactory } from '../proxy/socket-factory.ts'
import { DnsError } from './errors.ts'
import { FLAG_RESPONSE, HEADER_BYTES, RCODE_MASK } from './message.ts'

/** One question to one name server. */
export interface Exchange {
  /** Of the workload: they are made in its network and marked. */
  readonly sockets: Pick<SocketFactory, 'connect' | 'bindUdp'>
  readonly server: SocketAddress
  /** With an id that cannot be guessed. */
  readonly query: Buffer
  /** Bytes of `query` from the header's end to the question's end. */
  readonly question: Uint8Array
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

/**
 * Asks over UDP, from a socket and so from a port of its own: with the id, that is what keeps others from answering in
 * the server's place (RFC 5452). Rejects with DnsError `timeout`, `unreachable` or `closed`.
 */
export function askUdp(exchange: Exchange): Promise<Buffer> {
  const { sockets, server, query } = exchange
  return settle(exchange, (resolve, reject) => {
    const v6 = server.address.includes(':')
    const socket = createSocket(v6 ? 'udp6' : 'udp4')
    socket.on('error', reject)
    socket.on('connect', () => socket.send(query))
    socket.on('message', (reply) => {
      // Anything else is somebody's guess, or late: the right one may still come.
      if (answers(exchange, reply)) resolve(reply)
    })
    socket.bind({ fd: sockets.bindUdp({ address: v6 ? '::' : '0.0.0.0', port: 0 }), exclusive: true })
    // Connected, so that the kernel takes only what the server sends, and tells when nobody is there.
    socket.connect(server.port, server.address)
    return () => socket.close()
  })
}

/** Asks over TCP. Rejects with DnsError `timeout`, `unreachable` or `closed`. */
export function askTcp(exchange: Exchange): Promise<Buffer> {
  const { sockets, server, query } = exchange
  return settle(exchange, (resolve, reject) => {
    const socket = sockets.connect(server)
    let expected: number | undefined
    socket.on('error', reject)
    socket.on('end', () => reject(new Error('it ended the connection')))
    socket.on('readable', () => {
      expected ??= readLength(socket)
      const reply = expected === undefined ? null : socket.read(expected)
      if (reply === null) return
      if (reply.length === expected && answers(exchange, reply)) resolve(reply)
      else reject(new Error('what it sent is no answer to the question'))
    })
    socket.write(framed(query))
    return () => socket.destroy()
  })
}

/** A message as TCP carries it: with two bytes of length (RFC 1035 4.2.2). */
export function framed(message: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(2 + message.length)
  bytes.writeUInt16BE(message.length, 0)
  bytes.set(message, 2)
  return bytes
}

/** The length before a message, taken from a socket; undefined while it is not there. */
export function readLength(socket: Socket): number | undefined {
  const bytes: Buffer | null = socket.read(2)
  return bytes === null || bytes.length < 2 ? undefined : bytes.readUInt16BE(0)
}

type Start = (resolve: (reply: Buffer) => void, reject: (error: Error) => void) => () => void

/** Ends an exchange once, by answer, error, timeout or signal, and lets go of its socket. */
function settle({ server, timeoutMs, signal }: Exchange, start: Start): Promise<Buffer> {
  const where = formatSocketAddress(server)
  return new Promise((resolve, reject) => {
    let stop: (() => void) | undefined
    let done = false
    const finish = (conclude: () => void): void => {
      if (done) return
      done = true
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      stop?.()
      conclude()
    }
    const fail = (error: DnsError): void => finish(() => reject(error))
    const onAbort = (): void => fail(new DnsError('closed', 'the DNS proxy of this workload has ended'))
    const timer = setTimeout(
      () => fail(new DnsError('timeout', `name server ${where} did not answer in ${timeoutMs} ms`)),
      timeoutMs,
    )
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    const unreachable = (cause: Error): void =>
      fail(new DnsError('unreachable', `name server ${where}: ${cause.message}`, { cause }))
    try {
      stop = start((reply) => finish(() => resolve(reply)), unreachable)
      if (done) stop()
    } catch (error) {
      unreachable(error instanceof Error ? error : new Error(String(error)))
    }
  })
}

/** Same id, a response, same question; one that could not read the question may leave it out. */
function answers({ query, question }: Exchange, reply: Buffer): boolean {
  if (reply.length < HEADER_BYTES || reply.readUInt16BE(0) !== query.readUInt16BE(0)) return false
  const flags = reply.readUInt16BE(2)
  if ((flags & FLAG_RESPONSE) === 0) return false
  if (reply.readUInt16BE(4) === 0) return (flags & RCODE_MASK) !== 0
  const repeated = reply.subarray(HEADER_BYTES, HEADER_BYTES + question.length)
  return repeated.length === question.length && lowerCase(repeated).equals(lowerCase(question))
}

/** Only the letters of the name can be meant: type and class below 256 are no capital letters. */
function lowerCase(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes).map((byte) => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte)) as Buffer
}
