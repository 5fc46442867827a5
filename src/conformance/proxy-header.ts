/** A PROXY protocol header of version 2 (haproxy's proxy-protocol.txt, section 2.2). */
export interface ProxyHeader {
  /** Its length, bytes. */
  readonly bytes: number
  /** `PROXY` command; false for `LOCAL`. */
  readonly proxied: boolean
  /** Address and port, IPv4 dotted or IPv6 as eight groups. */
  readonly source: string | undefined
  readonly destination: string | undefined
  /** Values by type. */
  readonly tlvs: ReadonlyMap<number, string>
}

/** The header that the bytes begin with; undefined when they begin otherwise, `incomplete` when more is needed to say. */
export function parseProxyHeader(bytes: Buffer): ProxyHeader | 'incomplete' | undefined {
  const known = Math.min(bytes.length, SIGNATURE.length)
  if (!bytes.subarray(0, known).equals(SIGNATURE.subarray(0, known))) return undefined
  if (bytes.length < HEAD) return 'incomplete'
  const length = HEAD + bytes.readUInt16BE(14)
  if (bytes.length < length) return 'incomplete'
  const family = bytes.readUInt8(13) >> 4
  const size = family === 1 ? 4 : family === 2 ? 16 : 0
  const body = bytes.subarray(HEAD, length)
  const hasAddresses = size > 0 && body.length >= 2 * size + 4
  return {
    bytes: length,
    proxied: bytes.readUInt8(12) === 0x21,
    source: hasAddresses ? `${address(body.subarray(0, size))}:${body.readUInt16BE(2 * size)}` : undefined,
    destination: hasAddresses
      ? `${address(body.subarray(size, 2 * size))}:${body.readUInt16BE(2 * size + 2)}`
      : undefined,
    tlvs: tlvs(body.subarray(hasAddresses ? 2 * size + 4 : body.length)),
  }
}

function tlvs(bytes: Buffer): ReadonlyMap<number, string> {
  const found = new Map<number, string>()
  for (let at = 0; at + 3 <= bytes.length; ) {
    const length = bytes.readUInt16BE(at + 1)
    found.set(bytes.readUInt8(at), bytes.subarray(at + 3, at + 3 + length).toString('utf8'))
    at += 3 + length
  }
  return found
}

function address(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.')
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16))
  return `[${groups.join(':')}]`
}

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
const HEAD = 16
