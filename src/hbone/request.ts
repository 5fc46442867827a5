import type { SpiffeId } from '../identity/spiffe-id.ts'
import { type Authority, parseAuthority } from './authority.ts'
import type { ConnectionEnds, Endpoint } from './endpoint.ts'
import { HboneError } from './errors.ts'
import { ERROR } from './h2/constants.ts'
import type { Message } from './h2/field-rules.ts'
import type { TunnelStream } from './h2/stream.ts'
import { TunnelDuplex } from './h2/tunnel-duplex.ts'
import { CLIENT_IDENTITY_HEADER, FORWARDED_NETWORK_HEADER } from './headers.ts'

/** The headers of a CONNECT that mean something in HBONE, as they came. All are hints: a peer can write anything. */
export interface HboneHeaders {
  readonly baggage?: string | undefined
  readonly forwarded?: string | undefined
  readonly traceparent?: string | undefined
  /** Network of the client, on the inner request of double HBONE. */
  readonly xForwardedNetwork?: string | undefined
  /** `x-ztunnel-client-identity`, as written; see `CLIENT_IDENTITY_HEADER` for who may be believed. */
  readonly clientIdentity?: string | undefined
}

/** A CONNECT that a peer sent us. Exactly one of `accept` and `refuse` must be called. */
export interface HboneRequest {
  readonly method: string
  /** A request without a good one was answered 400 before anybody saw it. */
  readonly authority: Authority
  readonly headers: HboneHeaders
  /** Who asks. The identity is proven by its certificate; undefined when that has no SPIFFE id. */
  readonly peer: Endpoint & { readonly identity: SpiffeId | undefined }
  /** Where it connected to. */
  readonly local: Endpoint
  readonly tunnel: TunnelStream
  /**
   * Answers 200; the tunnel is returned, for `pump`. If the peer has given up
   * meanwhile it is closed, which `pump` copes with.
   */
  acceptTunnel(headers?: Readonly<Record<string, string>>): TunnelStream
  /** The same as a Node stream. */
  accept(headers?: Readonly<Record<string, string>>): TunnelDuplex
  /** Answers with a status and no body. Does nothing when the peer has given up. */
  refuse(status: number, headers?: Readonly<Record<string, string>>): void
}

/** Makes a request of a stream, or answers it with 400 and throws `HboneError` `bad-method` or `bad-authority`. */
export function receiveRequest(
  tunnel: TunnelStream,
  message: Message,
  ends: ConnectionEnds,
  identity: SpiffeId | undefined,
): HboneRequest {
  const { method = '' } = message
  const authority = parseAuthority(message.authority)
  if (method !== 'CONNECT' || authority === undefined) {
    refuse(tunnel, BAD_REQUEST)
    throw invalid(method, message.authority)
  }
  return new ReceivedRequest(tunnel, message, authority, ends, identity)
}

/** A class, so that what every request can do is not made anew for each. */
class ReceivedRequest implements HboneRequest {
  readonly method: string
  readonly authority: Authority
  readonly headers: HboneHeaders
  readonly peer: HboneRequest['peer']
  readonly local: Endpoint
  readonly tunnel: TunnelStream

  constructor(
    tunnel: TunnelStream,
    { fields }: Message,
    authority: Authority,
    ends: ConnectionEnds,
    identity: SpiffeId | undefined,
  ) {
    this.tunnel = tunnel
    this.method = 'CONNECT'
    this.authority = authority
    this.headers = {
      baggage: fields.get('baggage'),
      forwarded: fields.get('forwarded'),
      traceparent: fields.get('traceparent'),
      xForwardedNetwork: fields.get(FORWARDED_NETWORK_HEADER),
      clientIdentity: fields.get(CLIENT_IDENTITY_HEADER),
    }
    this.peer = { ...ends.peer, identity }
    this.local = ends.local
  }

  acceptTunnel(headers: Readonly<Record<string, string>> = {}): TunnelStream {
    const { tunnel } = this
    if (!tunnel.closed && !tunnel.answered) tunnel.session.answer(tunnel, OK, headers, false)
    return tunnel
  }

  accept(headers?: Readonly<Record<string, string>>): TunnelDuplex {
    return new TunnelDuplex(this.acceptTunnel(headers))
  }

  refuse(status: number, headers: Readonly<Record<string, string>> = {}): void {
    refuse(this.tunnel, status, headers)
  }
}

/** The peer sees HEADERS with END_STREAM, then RST_STREAM(NO_ERROR), unless it has ended its half. */
function refuse(tunnel: TunnelStream, status: number, headers: Readonly<Record<string, string>> = {}): void {
  if (tunnel.closed || tunnel.answered) return
  tunnel.answerAndEnd(status, headers)
  tunnel.reset(ERROR.NO_ERROR)
}

function invalid(method: string, authority: string | undefined): HboneError {
  if (method !== 'CONNECT')
    return new HboneError('bad-method', `expected method CONNECT, got ${clip(method)}`)
  return new HboneError('bad-authority', `no valid authority pseudo header: ${clip(authority ?? '')}`)
}

/** What a peer wrote, fit for a log line. */
function clip(value: string): string {
  return value.length > MAX_QUOTED ? `${value.slice(0, MAX_QUOTED)}…` : value
}

/** Characters. A header may be 64 KiB. */
const MAX_QUOTED = 100

const OK = 200
const BAD_REQUEST = 400
