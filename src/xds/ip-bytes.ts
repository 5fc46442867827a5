import ipaddr from 'ipaddr.js'

/** Network byte order to canonical text, IPv4-mapped IPv6 to IPv4. Undefined unless 4 or 16 bytes long. */
export function addressFromBytes(bytes: Uint8Array): string | undefined {
  if (bytes.length === IPV4_BYTES) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`
  if (bytes.length !== IPV6_BYTES) return undefined
  const address = new ipaddr.IPv6([...bytes])
  return address.isIPv4MappedAddress() ? address.toIPv4Address().toString() : address.toString()
}

/**
 * A block as `address/length`, host bits kept. Undefined when the bytes are
 * no address or the length is beyond its bits. A block of IPv4-mapped
 * addresses becomes the IPv4 block.
 */
export function cidrFromBytes(bytes: Uint8Array, length: number): string | undefined {
  const address = addressFromBytes(bytes)
  if (address === undefined || length > bytes.length * 8) return undefined
  const mapped = bytes.length === IPV6_BYTES && !address.includes(':')
  if (!mapped) return `${address}/${length}`
  if (length >= MAPPED_PREFIX_BITS) return `${address}/${length - MAPPED_PREFIX_BITS}`
  return `${new ipaddr.IPv6([...bytes]).toString()}/${length}`
}

/**
 * A block of a policy. As `cidrFromBytes`, but one of IPv4-mapped addresses
 * stays IPv6: connections have canonical addresses, and in Istio's ztunnel such
 * a block matches none of them.
 */
export function policyBlockFromBytes(bytes: Uint8Array, length: number): string | undefined {
  if (bytes.length !== IPV6_BYTES) return cidrFromBytes(bytes, length)
  return length > bytes.length * 8 ? undefined : `${new ipaddr.IPv6([...bytes]).toString()}/${length}`
}

/** Text to network byte order. The text must be an address. */
export function addressToBytes(address: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(ipaddr.parse(address).toByteArray())
}

/** `address/length` in its parts; a bare address is a block of one. The text must be one of the two. */
export function cidrToBytes(block: string): { address: Uint8Array<ArrayBuffer>; length: number } {
  const [text = '', length] = block.split('/')
  const address = addressToBytes(text)
  return { address, length: length === undefined ? address.length * 8 : Number(length) }
}

const IPV4_BYTES = 4
const IPV6_BYTES = 16
const MAPPED_PREFIX_BITS = 96
