import { decode, encode } from 'dns-packet'
import { addressFamily, isAddress, type MeshView, type Workload } from '../../mesh/index.ts'
import type { DnsMetrics, ScopedLogger } from '../../telemetry/index.ts'
import { errorText } from '../errors.ts'
import type { LocalWorkload } from '../proxy/local-workload.ts'
import { DnsError } from './errors.ts'
import type { Forwarder } from './forwarder.ts'
import {
  decodeQuery,
  FLAG_RECURSION_DESIRED,
  FLAG_TRUNCATED,
  NOERROR,
  NXDOMAIN,
  type Query,
  SERVFAIL,
  TYPE_A,
  TYPE_AAAA,
} from './message.ts'
import { canonicalName } from './names.ts'
import {
  encodeAnswer,
  encodeFailure,
  encodeRefusal,
  encodeTruncated,
  fits,
  rcodeOf,
  relayReply,
  type Transport,
} from './reply.ts'
import { type Resolution, type ResolverSettings, resolveName } from './resolver.ts'

export interface ResponderOptions {
  readonly mesh: MeshView
  /** Who asks: whoever reaches this port is in this workload's network (wire/ztunnel 12.1). */
  readonly local: LocalWorkload
  readonly settings: ResolverSettings
  readonly forwarder: Forwarder
  readonly metrics: DnsMetrics
  readonly log: ScopedLogger
  readonly random: () => number
  /** Seconds that never go backwards. */
  readonly now: () => number
}

/** One question and where the reply goes. */
interface Asked {
  readonly bytes: Buffer
  readonly query: Query
  readonly client: Workload
  readonly transport: Transport
}

/** Answers one workload's questions: out of the mesh what the mesh knows, all else by the name servers. */
export class Responder {
  readonly #options: ResponderOptions

  constructor(options: ResponderOptions) {
    this.#options = options
  }

  /** The reply to one message, in any case; undefined when there must be none. Never rejects. */
  async respond(bytes: Buffer, transport: Transport): Promise<Buffer | undefined> {
    const incoming = decodeQuery(bytes)
    if (incoming.kind === 'garbage') return undefined
    if (incoming.kind === 'refused') {
      // Two that answer each other's answers over UDP would never stop.
      if (incoming.response && transport === 'udp') return undefined
      return encodeRefusal(incoming.id, incoming.flags, incoming.rcode)
    }
    const { query } = incoming
    try {
      const client = await this.#options.local.get()
      return await this.#answer({ bytes, query, client, transport })
    } catch (error) {
      this.#options.log.debug('no answer', { domain: query.name, error: errorText(error) })
      return encodeFailure(query, SERVFAIL)
    }
  }

  /**
   * The addresses of a name as the workload's own applications would get them, IPv4 first; for clients that leave it
   * to the proxy to look names up. Rejects with DnsError.
   */
  async lookup(name: string): Promise<readonly string[]> {
    if (isAddress(name)) return [name]
    for (const type of ['A', 'AAAA'] as const) {
      const addresses = await this.#lookupType(name, type)
      if (addresses.length > 0) return addresses
    }
    throw new DnsError('no-address', `dns lookup: ${name} has no address`)
  }

  async #answer(asked: Asked): Promise<Buffer> {
    const { query, client, transport } = asked
    const { metrics } = this.#options
    metrics.request(labels(asked))
    const resolution = this.#resolve(query, client)
    if (resolution.kind === 'unknown') return this.#forward(asked)
    this.#log(asked, localResult(resolution), resolution.addresses.length)
    return encodeAnswer(query, resolution, transport)
  }

  #resolve({ name, type, internet }: Query, client: Workload): Resolution {
    if (!internet || (type !== TYPE_A && type !== TYPE_AAAA)) return { kind: 'unknown' }
    const { mesh, settings, random } = this.#options
    return resolveName(mesh, { name, family: type === TYPE_A ? 4 : 6, client, random }, settings)
  }

  async #forward(asked: Asked): Promise<Buffer> {
    const { bytes, query, transport } = asked
    const { forwarder, metrics, now } = this.#options
    const counted = labels(asked)
    const began = now()
    metrics.upstreamRequest(counted)
    try {
      const reply = await forwarder.forward({ message: bytes, question: query.question, transport })
      const rcode = rcodeOf(reply)
      if (rcode !== NOERROR && rcode !== NXDOMAIN) metrics.upstreamFailure(counted)
      this.#log(asked, rcode === NOERROR ? 'forwarded' : `forwarding failed (rcode ${rcode})`)
      return fits(query, reply, transport) ? relayReply(query, reply) : encodeTruncated(query, reply)
    } catch (error) {
      metrics.upstreamFailure(counted)
      this.#log(asked, `forwarding failed (${errorText(error)})`)
      return encodeFailure(query, SERVFAIL)
    } finally {
      metrics.upstreamDuration(counted, now() - began)
    }
  }

  #log({ query, client }: Asked, result: string, endpoints = 0): void {
    const { log } = this.#options
    if (!log.isLevelEnabled('debug')) return
    log.debug('dns request', {
      'src.workload': client.name,
      'src.namespace': client.namespace,
      query: query.typeName,
      domain: query.name,
      result,
      endpoints,
    })
  }

  /** By way of a message, so that it is answered, counted and logged as any other. */
  async #lookupType(name: string, type: 'A' | 'AAAA'): Promise<readonly string[]> {
    const message = encodeQuestion(name, type)
    for (const transport of ['udp', 'tcp'] as const) {
      const reply = await this.respond(message, transport)
      if (reply === undefined) break
      const rcode = rcodeOf(reply)
      if (rcode === NXDOMAIN) return []
      if (rcode !== NOERROR) throw new DnsError('refused', `dns lookup: ${name}: rcode ${rcode}`)
      const addresses = addressesIn(reply, type)
      if (addresses.length > 0 || (reply.readUInt16BE(2) & FLAG_TRUNCATED) === 0) return addresses
    }
    return []
  }
}

/** RFC 1035 2.3.4, as text without the final dot. */
const MAX_NAME_LENGTH = 253
const MAX_LABEL_BYTES = 63

function encodeQuestion(name: string, type: 'A' | 'AAAA'): Buffer {
  const labelsOfName = canonicalName(name).split('.')
  const valid = labelsOfName.every((label) => label !== '' && Buffer.byteLength(label) <= MAX_LABEL_BYTES)
  if (!valid || Buffer.byteLength(name) > MAX_NAME_LENGTH) {
    throw new DnsError('malformed', `dns lookup: ${JSON.stringify(name)} is no name`)
  }
  return encode({
    type: 'query',
    flags: FLAG_RECURSION_DESIRED,
    questions: [{ name: canonicalName(name), type }],
  })
}

/** Hundreds of addresses. Names that point back through a longer message could keep the reader busy for too long. */
const MAX_READ_BYTES = 8192

/** Of a whole reply: a CNAME before them does not matter, whose they are was the name server's business. */
function addressesIn(reply: Buffer, type: 'A' | 'AAAA'): readonly string[] {
  if (reply.length > MAX_READ_BYTES)
    throw new DnsError('refused', `dns lookup: a reply of ${reply.length} bytes`)
  try {
    const family = type === 'A' ? 4 : 6
    const found = (decode(reply).answers ?? []).flatMap((answer) =>
      answer.type === type && typeof answer.data === 'string' ? [answer.data] : [],
    )
    return found.filter((address) => isAddress(address) && addressFamily(address) === family)
  } catch (error) {
    throw new DnsError('refused', `dns lookup: the name server's reply cannot be read`, { cause: error })
  }
}

function labels({ query, client, transport }: Asked): Parameters<DnsMetrics['request']>[0] {
  return { queryType: query.typeName, protocol: transport, source: client }
}

function localResult({ addresses, familyExcluded }: Extract<Resolution, { kind: 'known' }>): string {
  if (familyExcluded) return 'service does not support this record type'
  return addresses.length === 0 ? 'no records' : 'success'
}
