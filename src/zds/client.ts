import { closeSync } from 'node:fs'
import { LinuxError, NetworkNamespace, type Packet, SeqpacketSocket } from '../linux/index.ts'
import { decodeRequest, encodeAck, encodeHello, MAX_PACKET_BYTES, type ZdsRequest } from './codec.ts'
import { ZdsError } from './errors.ts'

/** A request and, with `add` only, the pod's network namespace, which is the receiver's to close. */
export interface ReceivedRequest {
  readonly request: ZdsRequest
  readonly netns?: NetworkNamespace
}

/**
 * The proxy's end of ZDS: a transport without a memory of pods. Lock-step: `next`, then exactly one `ack`, then `next`
 * again. Istio's agent waits 5 s for an answer and takes a late one for the answer to its next request: who cannot
 * answer in time closes.
 */
export class ZdsClient {
  readonly #socket: SeqpacketSocket
  #answerDue = false

  private constructor(socket: SeqpacketSocket) {
    this.#socket = socket
  }

  /** Rejects with LinuxError `system-call`: `ENOENT`, `ECONNREFUSED`: no agent listens there. */
  static async connect(path: string): Promise<ZdsClient> {
    return new ZdsClient(await SeqpacketSocket.connect(path))
  }

  /** Introduces the proxy; the agent then names the node's pods. Throws ZdsError `connection-lost`. */
  hello(): void {
    this.#send(encodeHello())
  }

  /**
   * The next request; undefined when the agent or `close` ended the connection. Rejects with ZdsError
   * `packet-too-large`, `malformed-packet`, `wrong-descriptors`, `workload-info-missing` for what it should not have
   * sent, and then an `ack` with the error may be sent before closing; `connection-lost` when the socket broke;
   * `out-of-turn` when the last request has not been answered. No descriptor is left open by a rejection.
   */
  async next(): Promise<ReceivedRequest | undefined> {
    if (this.#answerDue) throw new ZdsError('out-of-turn', 'the last request has not been answered')
    const packet = await this.#receive()
    if (packet === undefined) return undefined
    this.#answerDue = true
    let request: ZdsRequest
    try {
      request = checkRequest(packet)
    } catch (error) {
      for (const fd of packet.fds) closeSync(fd)
      throw error
    }
    const [fd] = packet.fds
    return fd === undefined ? { request } : { request, netns: NetworkNamespace.fromFd(fd) }
  }

  /** Answers the last request: success, or why not (cut to fit). Throws ZdsError `out-of-turn`, `connection-lost`. */
  ack(error = ''): void {
    if (!this.#answerDue) throw new ZdsError('out-of-turn', 'there is no request to answer')
    this.#answerDue = false
    this.#send(encodeAck(error))
  }

  /** Ends the connection; a pending `next` resolves to undefined. */
  close(): void {
    this.#socket.close()
  }

  async #receive(): Promise<Packet | undefined> {
    try {
      return await this.#socket.receive(MAX_PACKET_BYTES)
    } catch (cause) {
      throw lost(cause)
    }
  }

  #send(packet: Uint8Array): void {
    try {
      this.#socket.send(packet)
    } catch (cause) {
      throw lost(cause)
    }
  }
}

function checkRequest({ data, fds, truncated }: Packet): ZdsRequest {
  if (truncated) {
    throw new ZdsError(
      'packet-too-large',
      `request of over ${MAX_PACKET_BYTES} bytes, or with too many descriptors`,
    )
  }
  const request = decodeRequest(data)
  if (request.kind === 'add' && fds.length !== 1) {
    throw new ZdsError(
      'wrong-descriptors',
      `pod ${request.uid} came with ${fds.length} descriptors; exactly one belongs, its network namespace`,
    )
  }
  if (request.kind !== 'add' && fds.length !== 0) {
    throw new ZdsError(
      'wrong-descriptors',
      `${request.kind} came with ${fds.length} descriptors; none belongs`,
    )
  }
  return request
}

function lost(cause: unknown): ZdsError {
  const why = cause instanceof LinuxError ? cause.message : String(cause)
  return new ZdsError('connection-lost', `the connection to the node agent broke: ${why}`, { cause })
}
