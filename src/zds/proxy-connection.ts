import { closeSync } from 'node:fs'
import type { Packet, SeqpacketSocket } from '../linux/index.ts'
import { decodeAck, decodeHello, encodeRequest, MAX_PACKET_BYTES, type ZdsRequest } from './codec.ts'
import { ZdsError } from './errors.ts'

/** Where a connection stands. */
export type ProxyConnectionState =
  /** Connected; its hello has not come. */
  | 'greeting'
  /** Is being told the pods that there are. */
  | 'snapshot'
  /** Knows them all and is told of changes. */
  | 'live'
  | 'closed'

/** The shape of one connection; see {@link ProxyConnection}. */
export interface ProxyConnectionOptions {
  readonly socket: SeqpacketSocket
  /** Time for each packet of the proxy, milliseconds. */
  readonly answerTimeoutMs: number
  /** Called once, when the connection has ended for whatever reason; `introduced` as it was until then. */
  readonly onClosed: (error: ZdsError, introduced: boolean) => void
}

/**
 * One node proxy, seen from the agent: requests in lock-step, each answered before the next is sent. Any breach ends
 * the connection, a missed deadline too, since what came later would be taken for the answer to something else. The
 * proxy then connects again and is told everything anew. Reading never pauses, so an end or an unasked packet shows at
 * once, not when the next pod changes.
 */
export class ProxyConnection {
  readonly #options: ProxyConnectionOptions
  #state: ProxyConnectionState = 'greeting'
  #awaiting: { resolve: (packet: Uint8Array) => void; reject: (error: ZdsError) => void } | undefined
  #tail: Promise<unknown> = Promise.resolve()

  constructor(options: ProxyConnectionOptions) {
    this.#options = options
    void this.#read()
  }

  get state(): ProxyConnectionState {
    return this.#state
  }

  /** It has said hello, and is not gone: it may have been told of pods. */
  get introduced(): boolean {
    return this.#state === 'snapshot' || this.#state === 'live'
  }

  /** Waits for the proxy's introduction. Rejects with ZdsError, and the connection is closed then. */
  async greet(): Promise<void> {
    try {
      decodeHello(await this.#answer())
      if (this.#state === 'greeting') this.#state = 'snapshot'
    } catch (error) {
      throw this.#fail(error)
    }
  }

  /** All pods have been named. Rejects with ZdsError, and the connection is closed then. */
  async finishSnapshot(): Promise<void> {
    await this.exchange({ kind: 'snapshot-sent' })
    if (this.#state === 'snapshot') this.#state = 'live'
  }

  /**
   * Sends a request in its turn and resolves to the proxy's error text, empty for success. Rejects with ZdsError
   * `packet-too-large` (the connection lives on), or as the connection ends. `prepare` is asked for the descriptors
   * when the turn has come; undefined then drops the request, as answered.
   */
  exchange(request: ZdsRequest, prepare: () => readonly number[] | undefined = () => []): Promise<string> {
    const turn = this.#tail.then(async () => {
      const bytes = encodeRequest(request)
      const fds = prepare()
      return fds === undefined ? '' : this.#roundTrip(bytes, fds)
    })
    this.#tail = turn.catch(() => undefined)
    return turn
  }

  close(error = new ZdsError('closed', 'the node agent closed the connection')): void {
    if (this.#state === 'closed') return
    const { introduced } = this
    this.#state = 'closed'
    this.#options.socket.close()
    this.#awaiting?.reject(error)
    this.#awaiting = undefined
    this.#options.onClosed(error, introduced)
  }

  async #roundTrip(packet: Uint8Array, fds: readonly number[]): Promise<string> {
    if (this.#state === 'closed') throw new ZdsError('connection-lost', 'the node proxy disconnected')
    try {
      const answer = this.#answer()
      // Of two failures the send's is reported; the other must not be unhandled.
      answer.catch(() => undefined)
      this.#options.socket.send(packet, fds)
      return decodeAck(await answer)
    } catch (error) {
      throw this.#fail(error)
    }
  }

  #answer(): Promise<Uint8Array> {
    const { answerTimeoutMs } = this.#options
    return new Promise((resolve, reject) => {
      if (this.#state === 'closed')
        return reject(new ZdsError('connection-lost', 'the node proxy disconnected'))
      const timer = setTimeout(() => {
        this.close(new ZdsError('timeout', `the node proxy did not answer within ${answerTimeoutMs} ms`))
      }, answerTimeoutMs)
      this.#awaiting = {
        resolve: (packet) => {
          clearTimeout(timer)
          resolve(packet)
        },
        reject: (error) => {
          clearTimeout(timer)
          reject(error)
        },
      }
    })
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const packet = await this.#options.socket.receive(MAX_PACKET_BYTES)
        if (packet === undefined) throw new ZdsError('connection-lost', 'the node proxy disconnected')
        const bytes = checkAnswer(packet)
        const awaiting = this.#awaiting
        if (awaiting === undefined) throw new ZdsError('out-of-turn', 'the node proxy sent a packet unasked')
        this.#awaiting = undefined
        awaiting.resolve(bytes)
      }
    } catch (error) {
      this.#fail(error)
    }
  }

  #fail(cause: unknown): ZdsError {
    const error =
      cause instanceof ZdsError
        ? cause
        : new ZdsError('connection-lost', `the connection to the node proxy broke: ${String(cause)}`, {
            cause,
          })
    this.close(error)
    return error
  }
}

function checkAnswer({ data, fds, truncated }: Packet): Uint8Array {
  for (const fd of fds) closeSync(fd)
  if (fds.length > 0)
    throw new ZdsError('wrong-descriptors', 'the node proxy sent a descriptor; none belongs')
  if (truncated)
    throw new ZdsError('packet-too-large', `the node proxy sent more than ${MAX_PACKET_BYTES} bytes`)
  return data
}
