import type { SocketFactory } from '../proxy/socket-factory.ts'
import { DnsError } from './errors.ts'
import { askTcp, askUdp, type Exchange } from './exchange.ts'
import { NOERROR, NXDOMAIN } from './message.ts'
import { rcodeOf, type Transport } from './reply.ts'
import type { ResolvConfSource } from './resolv-conf.ts'

export interface ForwarderOptions {
  readonly sockets: Pick<SocketFactory, 'connect' | 'bindUdp'>
  readonly resolvConf: ResolvConfSource
  /** Milliseconds that never go backwards. */
  readonly now: () => number
  /** 0 to 65,535, not to be guessed. */
  readonly newId: () => number
  /** Port of the name servers. Default 53. */
  readonly port?: number
}

/** What goes to a name server. */
export interface ForwardedQuery {
  /** A whole message; only its id is replaced. */
  readonly message: Uint8Array
  /** Its question section. */
  readonly question: Uint8Array
  /** A client that came over TCP needs an answer of more than a datagram. */
  readonly transport: Transport
}

/**
 * Each has a socket of its own for as long as a name server takes. A descriptor table must not be filled by one pod
 * that asks for names that nobody answers; ordinary look-ups take milliseconds, so this is thousands in a second.
 */
const MAX_IN_FLIGHT = 256

/** Whatever resolv.conf says: no client waits that long (glibc: 5 s, twice). */
const MAX_TOTAL_MS = 15_000

const NAME_SERVER_PORT = 53

/**
 * Takes the questions of one workload to the name servers of the proxy's resolv.conf, out of the workload's own
 * network (wire/ztunnel 12.8).
 */
export class Forwarder {
  readonly #options: ForwarderOptions
  readonly #closed = new AbortController()
  #inFlight = 0

  constructor(options: ForwarderOptions) {
    this.#options = options
  }

  get inFlight(): number {
    return this.#inFlight
  }

  /** The first reply that settles the matter, else the last one of any kind. Rejects with DnsError. */
  async forward(query: ForwardedQuery): Promise<Buffer> {
    if (this.#inFlight >= MAX_IN_FLIGHT) {
      throw new DnsError('busy', `${MAX_IN_FLIGHT} look-ups of this workload wait for name servers`)
    }
    this.#inFlight += 1
    try {
      return await this.#rounds(query)
    } finally {
      this.#inFlight -= 1
    }
  }

  close(): void {
    this.#closed.abort()
  }

  async #rounds(query: ForwardedQuery): Promise<Buffer> {
    const { resolvConf, now } = this.#options
    const { nameservers, attempts, timeoutMs, tcpOnly } = resolvConf.current()
    const transport = tcpOnly ? 'tcp' : query.transport
    const deadline = now() + MAX_TOTAL_MS
    let failure = new DnsError('no-nameserver', "the proxy's /etc/resolv.conf names no name server")
    let inconclusive: Buffer | undefined
    for (let attempt = 0; attempt < attempts; attempt++) {
      for (const address of nameservers) {
        const wait = Math.min(timeoutMs / nameservers.length, deadline - now())
        if (wait <= 0) throw failure
        try {
          const reply = await this.#ask(query, transport, address, Math.ceil(wait))
          if (isConclusive(reply)) return reply
          inconclusive = reply
        } catch (error) {
          if (!(error instanceof DnsError) || error.code === 'closed') throw error
          failure = error
        }
      }
      if (inconclusive !== undefined) return inconclusive
    }
    throw failure
  }

  /** A name server without TCP still gets the question of a TCP client, over UDP. */
  async #ask(
    query: ForwardedQuery,
    transport: Transport,
    address: string,
    timeoutMs: number,
  ): Promise<Buffer> {
    const { sockets, newId, port = NAME_SERVER_PORT } = this.#options
    const message = Buffer.from(query.message)
    message.writeUInt16BE(newId(), 0)
    const exchange: Exchange = {
      sockets,
      server: { address, port },
      query: message,
      question: query.question,
      timeoutMs,
      signal: this.#closed.signal,
    }
    if (transport === 'udp') return askUdp(exchange)
    try {
      return await askTcp(exchange)
    } catch (error) {
      if (error instanceof DnsError && error.code === 'unreachable') return askUdp(exchange)
      throw error
    }
  }
}

/** A server that cannot, or will not, may have a neighbour that does. */
function isConclusive(reply: Buffer): boolean {
  const rcode = rcodeOf(reply)
  return rcode === NOERROR || rcode === NXDOMAIN
}
