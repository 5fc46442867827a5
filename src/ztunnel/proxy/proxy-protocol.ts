import ipaddr from 'ipaddr.js'
import type { SocketAddress } from '../../mesh/index.ts'

/**
 * PROXY protocol version 2 header (HAProxy proxy-protocol.txt, section 2.2)
 * for a stream, command PROXY. Istio adds the peer's identity as TLV 0xD0.
 */
export function proxyHeaderV2(
  source: SocketAddress,
  destination: SocketAddress,
  peerIdentity: string | undefined,
): Buffer {
  const [from, to] = sameFamily(source.address, destination.address)
  const ports = Buffer.alloc(4)
  ports.writeUInt16BE(source.port, 0)
  ports.writeUInt16BE(destination.port, 2)
  const tlv = peerIdentity === undefined ? Buffer.alloc(0) : typeLengthValue(PEER_IDENTITY, peerIdentity)
  const body = Buffer.concat([Buffer.from(from), Buffer.from(to), ports, tlv])
  const head = Buffer.alloc(4)
  head.writeUInt8(VERSION_2_PROXY, 0)
  head.writeUInt8(from.length === 4 ? TCP_OVER_IPV4 : TCP_OVER_IPV6, 1)
  head.writeUInt16BE(body.length, 2)
  return Buffer.concat([SIGNATURE, head, body])
}

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
const VERSION_2_PROXY = 0x21
const TCP_OVER_IPV4 = 0x11
const TCP_OVER_IPV6 = 0x21
/** Istio's TLV for the SPIFFE id that the peer proved. */
const PEER_IDENTITY = 0xd0

function typeLengthValue(type: number, text: string): Buffer {
  const value = Buffer.from(text)
  const head = Buffer.alloc(3)
  head.writeUInt8(type, 0)
  head.writeUInt16BE(value.length, 1)
  return Buffer.concat([head, value])
}

/** One header carries one family: the IPv4 side of a mixed pair is written as IPv4-mapped IPv6. */
function sameFamily(source: string, destination: string): [number[], number[]] {
  const from = ipaddr.parse(source)
  const to = ipaddr.parse(destination)
  if (from.kind() === to.kind()) return [from.toByteArray(), to.toByteArray()]
  return [mapped(from), mapped(to)]
}

function mapped(address: ipaddr.IPv4 | ipaddr.IPv6): number[] {
  return address instanceof ipaddr.IPv4 ? address.toIPv4MappedAddress().toByteArray() : address.toByteArray()
}
