import {
  type CapturedPacket,
  capturePackets,
  type NetworkNamespace,
  type PacketCapture,
} from '../linux/index.ts'

/** What was on the wire for one connection. */
export interface WireEvidence {
  /** `HBONE`: TLS to port 15008 and the marker nowhere. `plain`: the marker itself. */
  readonly protocol: 'HBONE' | 'plain' | 'both' | 'nothing'
  /** Whether the marker could be read by anyone on the link. */
  readonly markerSeen: boolean
  /** Every tunnel to port 15008 was seen to begin with a TLS handshake record. */
  readonly tls: boolean
  /** Packets with payload, in both directions. */
  readonly packets: number
  /** Flows that carried payload: `10.244.1.10 > 10.244.2.12:15008`. */
  readonly flows: readonly string[]
}

/** Traffic that a lab connection is looked for in. */
export interface WireQuestion {
  readonly marker: string
  /** The pod that connects. */
  readonly clientAddress: string
  /** Where the connection may end, as far as the link shows; its other flows count only if the marker is in them. */
  readonly serverAddresses: readonly string[]
}

/**
 * Reads the links of a network namespace (a node's: its pods' links and its
 * uplink) while connections are made one after the other, and tells for each
 * what could be seen of it.
 */
export class WireObserver implements Disposable {
  readonly #capture: PacketCapture
  readonly #flows = new Map<string, Flow>()

  constructor(namespace: NetworkNamespace) {
    this.#capture = capturePackets({ namespace, onPacket: (packet) => this.#see(packet) })
  }

  /** Forgets payloads, not flows: a pooled tunnel keeps the handshake that it was seen to begin with. */
  begin(): void {
    this.#capture.drain()
    for (const flow of this.#flows.values()) {
      flow.packets = 0
      flow.bytes = 0
      flow.payloads.length = 0
    }
  }

  /** Packets with payload since `begin`, of everyone. */
  get packets(): number {
    this.#capture.drain()
    return [...this.#flows.values()].reduce((sum, flow) => sum + flow.packets, 0)
  }

  /** What was seen since `begin`. */
  evidence({ marker, clientAddress, serverAddresses }: WireQuestion): WireEvidence {
    this.#capture.drain()
    const used = [...this.#flows.values()].filter(({ packets }) => packets > 0)
    const marked = new Set(used.filter(({ payloads }) => Buffer.concat(payloads).includes(marker)))
    const flows = used.filter(
      (flow) =>
        marked.has(flow) || (flow.client === clientAddress && serverAddresses.includes(flow.server.address)),
    )
    const tunnels = flows.filter(({ server }) => server.port === HBONE_PORT)
    const markerSeen = marked.size > 0
    const hbone = tunnels.length > 0
    const others = flows.length > tunnels.length
    return {
      protocol: protocolOf(hbone, others || markerSeen),
      markerSeen,
      tls: hbone && tunnels.every(({ tls }) => tls === true),
      packets: flows.reduce((sum, flow) => sum + flow.packets, 0),
      flows: [
        ...new Set(flows.map(({ client, server }) => `${client} > ${server.address}:${server.port}`)),
      ].sort(),
    }
  }

  [Symbol.dispose](): void {
    this.#capture.close()
  }

  #see(packet: CapturedPacket): void {
    const { source, destination, payload, flags } = packet
    const forward = `${source.address}:${source.port}>${destination.address}:${destination.port}`
    const backward = `${destination.address}:${destination.port}>${source.address}:${source.port}`
    if (flags.syn && !flags.ack) {
      // The same packet is seen on each link that it crosses.
      if (!this.#flows.has(forward)) this.#flows.set(forward, newFlow(source.address, destination))
      return
    }
    const flow = this.#flows.get(forward) ?? this.#flows.get(backward)
    if (flow === undefined || payload.length === 0) return
    if (flow.tls === undefined && this.#flows.has(forward)) flow.tls = isTlsHandshake(payload)
    flow.packets += 1
    if (flow.bytes >= MAX_KEPT_BYTES) return
    flow.bytes += payload.length
    flow.payloads.push(payload)
  }
}

interface Flow {
  readonly client: string
  readonly server: { readonly address: string; readonly port: number }
  /** Of the client's first bytes; undefined until they came. */
  tls: boolean | undefined
  packets: number
  bytes: number
  readonly payloads: Uint8Array[]
}

function newFlow(client: string, server: Flow['server']): Flow {
  return { client, server, tls: undefined, packets: 0, bytes: 0, payloads: [] }
}

function protocolOf(hbone: boolean, plain: boolean): WireEvidence['protocol'] {
  if (hbone && plain) return 'both'
  if (hbone) return 'HBONE'
  return plain ? 'plain' : 'nothing'
}

/** A TLS record of type handshake (RFC 8446, section 5.1). */
function isTlsHandshake(payload: Uint8Array): boolean {
  return payload[0] === 0x16 && payload[1] === 0x03
}

const HBONE_PORT = 15008
/** Per flow and connection. The lab's small connections need a few KiB; a large one is not read for markers. */
const MAX_KEPT_BYTES = 4 * 1024 * 1024
