import { isIPv4 } from 'node:net'
import ipaddr from 'ipaddr.js'
import { AF_INET, AF_INET6, AF_UNIX } from './constants.ts'
import { LinuxError } from './errors.ts'

/** An address and a port. */
export interface Endpoint {
  readonly address: string
  readonly port: number
}

/** Bytes of the path in `struct sockaddr_un`, less the terminating zero (unix(7)). */
const MAX_UNIX_PATH_BYTES = 107

/** `struct sockaddr_in` or `sockaddr_in6`. Throws {@link LinuxError} `invalid-argument` for what is no IP address. */
export function encodeInetAddress(endpoint: Endpoint): Uint8Array {
  const { address, port } = endpoint
  const ipv4 = isIPv4(address)
  const bytes = Buffer.alloc(ipv4 ? 16 : 28)
  bytes.writeUInt16LE(ipv4 ? AF_INET : AF_INET6, 0)
  bytes.writeUInt16BE(port, 2)
  // The general parser costs as much as the system calls of a new socket.
  if (ipv4) bytes.set(address.split('.').map(Number), 4)
  else bytes.set(parse(address).toByteArray(), 8)
  return bytes
}

/** Reads `sockaddr_in` or `sockaddr_in6`; an IPv4-mapped IPv6 address comes back as IPv4. */
export function decodeInetAddress(bytes: Uint8Array): Endpoint | undefined {
  if (bytes.length < 16) return undefined
  const [low = 0, high = 0, portHigh = 0, portLow = 0, a, b, c, d] = bytes
  const family = low | (high << 8)
  const port = (portHigh << 8) | portLow
  if (family === AF_INET) return { address: `${a}.${b}.${c}.${d}`, port }
  if (family === AF_INET6 && bytes.length >= 24) return { address: formatIpv6(bytes.subarray(8, 24)), port }
  return undefined
}

/** `struct sockaddr_un` for a path name. Throws {@link LinuxError} `invalid-argument` when it does not fit. */
export function encodeUnixAddress(path: string): Uint8Array {
  const length = Buffer.byteLength(path)
  if (length === 0 || length > MAX_UNIX_PATH_BYTES || path.includes('\0')) {
    throw new LinuxError(
      'invalid-argument',
      `socket path ${JSON.stringify(path)} has ${length} bytes; 1 to ${MAX_UNIX_PATH_BYTES} are allowed`,
    )
  }
  const bytes = Buffer.alloc(2 + length + 1)
  bytes.writeUInt16LE(AF_UNIX, 0)
  bytes.write(path, 2)
  return bytes
}

/** Address family of an IP address: 4 or 6. Throws {@link LinuxError} `invalid-argument`. */
export function addressFamily(address: string): 4 | 6 {
  return parse(address).kind() === 'ipv4' ? 4 : 6
}

/** Sixteen bytes as text, IPv4-mapped ones as IPv4. */
export function formatIpv6(bytes: Uint8Array): string {
  const address = new ipaddr.IPv6([...bytes])
  return address.isIPv4MappedAddress() ? address.toIPv4Address().toString() : address.toString()
}

function parse(address: string): ipaddr.IPv4 | ipaddr.IPv6 {
  // isValidFourPartDecimal: the short and octal forms of inet_aton are read differently by different programs.
  const valid = ipaddr.IPv4.isValidFourPartDecimal(address) || ipaddr.IPv6.isValid(address)
  if (!valid) throw new LinuxError('invalid-argument', `${JSON.stringify(address)} is not an IP address`)
  return ipaddr.parse(address)
}
