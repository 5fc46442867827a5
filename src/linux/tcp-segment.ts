import type { Endpoint } from './sockaddr.ts'
import { formatIpv6 } from './sockaddr.ts'

/** TCP flags of one segment. */
export interface TcpFlags {
  readonly fin: boolean
  readonly syn: boolean
  readonly rst: boolean
  readonly psh: boolean
  readonly ack: boolean
}

/** The TCP segment in one IP packet. */
export interface TcpSegment {
  readonly source: Endpoint
  readonly destination: Endpoint
  readonly flags: TcpFlags
  readonly sequence: number
  /** A view of the packet's bytes; copy it to keep it beyond the buffer. */
  readonly payload: Uint8Array
}

const TCP = 6
const IPV6_HEADER_BYTES = 40
const MIN_IPV4_HEADER_BYTES = 20
const MIN_TCP_HEADER_BYTES = 20

/**
 * Reads an IPv4 (RFC 791) or IPv6 (RFC 8200) packet that holds TCP (RFC 9293). Undefined for anything else, for later
 * fragments and for IPv6 with extension headers. Bytes beyond the IP length (Ethernet padding) are left out, a packet
 * cut short by a capture gives the payload that is there.
 */
export function parseTcpSegment(packet: Uint8Array): TcpSegment | undefined {
  const view = Buffer.from(packet.buffer, packet.byteOffset, packet.byteLength)
  const version = (view[0] ?? 0) >> 4
  if (version === 4) return parseIpv4(view)
  if (version === 6) return parseIpv6(view)
  return undefined
}

function parseIpv4(view: Buffer): TcpSegment | undefined {
  if (view.length < MIN_IPV4_HEADER_BYTES) return undefined
  const headerBytes = ((view[0] ?? 0) & 0xf) * 4
  const fragmentOffset = view.readUInt16BE(6) & 0x1fff
  if (view[9] !== TCP || fragmentOffset !== 0 || headerBytes < MIN_IPV4_HEADER_BYTES) return undefined
  // Zero: a segment that the network card is to cut up, longer than the field can say (TSO, "big TCP").
  const total = view.readUInt16BE(2) || view.length
  const segment = view.subarray(headerBytes, Math.min(total, view.length))
  return parseTcp(segment, view.subarray(12, 16).join('.'), view.subarray(16, 20).join('.'))
}

function parseIpv6(view: Buffer): TcpSegment | undefined {
  if (view.length < IPV6_HEADER_BYTES || view[6] !== TCP) return undefined
  const length = view.readUInt16BE(4) || view.length
  const segment = view.subarray(IPV6_HEADER_BYTES, Math.min(IPV6_HEADER_BYTES + length, view.length))
  return parseTcp(segment, formatIpv6(view.subarray(8, 24)), formatIpv6(view.subarray(24, 40)))
}

function parseTcp(segment: Buffer, source: string, destination: string): TcpSegment | undefined {
  if (segment.length < MIN_TCP_HEADER_BYTES) return undefined
  const headerBytes = ((segment[12] ?? 0) >> 4) * 4
  if (headerBytes < MIN_TCP_HEADER_BYTES) return undefined
  const bits = segment[13] ?? 0
  return {
    source: { address: source, port: segment.readUInt16BE(0) },
    destination: { address: destination, port: segment.readUInt16BE(2) },
    sequence: segment.readUInt32BE(4),
    flags: {
      fin: (bits & 0x01) !== 0,
      syn: (bits & 0x02) !== 0,
      rst: (bits & 0x04) !== 0,
      psh: (bits & 0x08) !== 0,
      ack: (bits & 0x10) !== 0,
    },
    payload: segment.subarray(headerBytes),
  }
}
