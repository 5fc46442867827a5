import {
  CLIENT_IDENTITY_HEADER,
  makeTraceparent,
  parseTraceparent,
  type Traceparent,
} from '../hbone/index.ts'
import {
  applyHeaderModifier,
  type HttpHeaderField,
  type HttpRequestHead,
  headerValue,
} from '../mesh/http/index.ts'
import { identityUri, workloadIdentity } from '../mesh/index.ts'
import type { Arrival } from './arrival.ts'

/** Envoy's header for who the client proved to be. */
export const CLIENT_CERT_HEADER = 'x-forwarded-client-cert'
const TRACEPARENT = 'traceparent'

/**
 * The trace that a request belongs to: its own, else that of its tunnel with a
 * span of its own, so that the lines of both ends' proxies can be joined; else
 * a new one.
 */
export function traceOf(head: HttpRequestHead, { request }: Pick<Arrival, 'request'>): Traceparent {
  const own = parseTraceparent(headerValue(head.headers, TRACEPARENT))
  if (own !== undefined) return own
  const made = makeTraceparent()
  const tunnel = parseTraceparent(request.headers.traceparent)
  if (tunnel === undefined) return made
  const { traceId } = tunnel
  return { traceId, spanId: made.spanId, header: `00-${traceId}-${made.spanId}-${tunnel.header.slice(-2)}` }
}

/**
 * What an application gets to see: what a client wrote about its own identity
 * is taken out, what it proved is put in where that is asked for, and the
 * trace goes along.
 */
export function forwardedHead(
  head: HttpRequestHead,
  arrival: Pick<Arrival, 'waypoint' | 'client'>,
  trace: Traceparent,
  xfcc: boolean,
): HttpRequestHead {
  const set: HttpHeaderField[] = [{ name: TRACEPARENT, value: trace.header }]
  const remove = [CLIENT_IDENTITY_HEADER]
  const { identity } = arrival.client
  if (xfcc && identity !== undefined) {
    const by = identityUri(workloadIdentity(arrival.waypoint))
    set.push({ name: CLIENT_CERT_HEADER, value: `By=${by};URI=${identityUri(identity)}` })
  } else remove.push(CLIENT_CERT_HEADER)
  return { ...head, headers: applyHeaderModifier(head.headers, { set, add: [], remove }) }
}
