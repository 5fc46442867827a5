import { randomUUID } from 'node:crypto'

/** A W3C `traceparent`: one id for a connection on all of its tunnels. */
export interface Traceparent {
  /** The header's value, 55 characters. */
  readonly header: string
  /** 32 lower-case hex digits. */
  readonly traceId: string
  /** 16 lower-case hex digits. */
  readonly spanId: string
}

/**
 * `Forwarded` as ztunnel sends it (RFC 7239): who the client is, and which
 * service it asked for. `client` is `ip:port` or `[v6]:port`.
 */
export function formatForwarded(client: string, serviceHostname?: string): string {
  return serviceHostname === undefined ? `for="${client}"` : `for="${client}";host=${serviceHostname}`
}

/**
 * The `host` of a `Forwarded` header: undefined when there is none, when it is
 * empty, or when the header is not plain ASCII. As ztunnel reads it: parameter
 * names in lower case, quotes optional, one element.
 */
export function parseForwardedHost(header: string | undefined): string | undefined {
  if (header === undefined || !VISIBLE_ASCII.test(header)) return undefined
  for (const part of header.split(';')) {
    const pair = part.trim()
    if (!pair.startsWith('host=')) continue
    const value = pair.slice('host='.length)
    const host = value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value
    return host === '' ? undefined : host
  }
  return undefined
}

/**
 * Ours, on a request that the ztunnel of a workload sends on to the workload's
 * waypoint: the full SPIFFE URI that the client proved to it, or `none` when
 * the client proved nothing. A waypoint may believe it from the ztunnel of a
 * workload that it serves, and from nobody else: anybody can write a header.
 */
export const CLIENT_IDENTITY_HEADER = 'x-ztunnel-client-identity'

/** The value of `x-ztunnel-client-identity` for a client that proved nothing. */
export const NO_CLIENT_IDENTITY = 'none'

/** On the inner request of double HBONE: the network that the client is in. */
export const FORWARDED_NETWORK_HEADER = 'x-forwarded-network'

/**
 * A new random trace, not sampled. Of UUIDs, because Node takes their bytes
 * from a cache, and 24 random bytes of their own cost three times as much; the
 * six bits that say so make them no less unique.
 */
export function makeTraceparent(): Traceparent {
  const traceId = randomUUID().replaceAll('-', '')
  const spanId = randomUUID().slice(19).replace('-', '')
  return { header: `00-${traceId}-${spanId}-00`, traceId, spanId }
}

/** Undefined unless the header is a well-formed version-00 `traceparent` with ids other than zero. */
export function parseTraceparent(header: string | undefined): Traceparent | undefined {
  const match = header === undefined ? null : TRACEPARENT.exec(header)
  const [, traceId, spanId] = match ?? []
  if (header === undefined || traceId === undefined || spanId === undefined) return undefined
  if (ZEROS.test(traceId) || ZEROS.test(spanId)) return undefined
  return { header, traceId, spanId }
}

const VISIBLE_ASCII = /^[\t\x20-\x7e]*$/
const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/
const ZEROS = /^0+$/
