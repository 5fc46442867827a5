import { isIPv4, isIPv6 } from 'node:net'

/** Where a CONNECT wants to go. */
export interface Authority {
  /** An IPv4 address, an IPv6 address without brackets, or a hostname in lower case. */
  readonly host: string
  /** 1 to 65535. */
  readonly port: number
}

/**
 * Parses the `:authority` of a CONNECT (RFC 9113 section 8.5): `ip:port`,
 * `[v6]:port` or `hostname:port`, nothing else. No user info, no zone id, no
 * missing or zero port, no second spelling of an address (`010.0.0.1`,
 * `127.1`). Undefined when it is anything else.
 */
export function parseAuthority(text: string | undefined): Authority | undefined {
  if (text === undefined || text.length > MAX_LENGTH) return undefined
  const colon = text.lastIndexOf(':')
  if (colon === -1) return undefined
  const port = parsePort(text.slice(colon + 1))
  const host = parseHost(text.slice(0, colon))
  return port === undefined || host === undefined ? undefined : { host, port }
}

/** The inverse of `parseAuthority`. */
export function formatAuthority({ host, port }: Authority): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function parsePort(text: string): number | undefined {
  if (!PORT.test(text)) return undefined
  const port = Number(text)
  return port <= 65_535 ? port : undefined
}

function parseHost(text: string): string | undefined {
  if (text.startsWith('[')) {
    const address = text.slice(1, -1)
    // isIPv6 accepts zone ids; those mean something on one machine only.
    return text.endsWith(']') && isIPv6(address) && !address.includes('%') ? address.toLowerCase() : undefined
  }
  if (isIPv4(text)) return text
  // What ends in a number is a mistyped address for every URL parser: not a name.
  if (!HOSTNAME.test(text) || NUMERIC_END.test(text)) return undefined
  return text.toLowerCase()
}

/** 253 of a hostname (RFC 1035), a colon, five digits. */
const MAX_LENGTH = 259
const PORT = /^[1-9][0-9]{0,4}$/
/** Labels of 1 to 63 letters, digits, `-` and `_` (which Kubernetes allows in some names), not with `-` at an end. */
const HOSTNAME =
  /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/i
const NUMERIC_END = /(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$/i
