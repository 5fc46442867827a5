import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { Duplex } from 'node:stream'
import type { SpiffeId } from '../identity/spiffe-id.ts'
import { type Authority, parseAuthority } from './authority.ts'
import type { ConnectionEnds, Endpoint } from './endpoint.ts'
import { HboneError } from './errors.ts'
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
  readonly stream: ServerHttp2Stream
  /**
   * Answers 200; the tunnel's bytes are on the returned stream. If the peer
   * has given up meanwhile the stream is closed, which `pump` copes with.
   */
  accept(headers?: Readonly<Record<string, string>>): Duplex
  /** Answers with a status and no body. Does nothing when the peer has given up. */
  refuse(status: number, headers?: Readonly<Record<string, string>>): void
}

/** Makes a request of a stream, or answers it with 400 and throws `HboneError` `bad-method` or `bad-authority`. */
export function receiveRequest(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  ends: ConnectionEnds,
  identity: SpiffeId | undefined,
): HboneRequest {
  // From here to the pump nobody else listens, and a reset must not crash the process.
  stream.on('error', ignore)
  // TCP has no place for them (RFC 9113 section 8.5).
  stream.once('trailers', () => stream.close(constants.NGHTTP2_PROTOCOL_ERROR))
  const method = text(headers[':method']) ?? ''
  const authority = parseAuthority(text(headers[':authority']))
  if (method !== 'CONNECT' || authority === undefined) {
    answer(stream, constants.HTTP_STATUS_BAD_REQUEST, {}, true)
    throw invalid(method, headers)
  }
  return {
    method,
    authority,
    headers: {
      baggage: text(headers['baggage']),
      forwarded: text(headers['forwarded']),
      traceparent: text(headers['traceparent']),
      xForwardedNetwork: text(headers[FORWARDED_NETWORK_HEADER]),
      clientIdentity: text(headers[CLIENT_IDENTITY_HEADER]),
    },
    peer: { ...ends.peer, identity },
    local: ends.local,
    stream,
    accept(responseHeaders = {}) {
      answer(stream, constants.HTTP_STATUS_OK, responseHeaders, false)
      return stream
    },
    refuse: (status, responseHeaders = {}) => answer(stream, status, responseHeaders, true),
  }
}

/**
 * With `endStream` the peer sees HEADERS with END_STREAM, then
 * RST_STREAM(NO_ERROR): Node sends that by itself when a server has answered
 * and nobody has begun to read the request.
 */
function answer(
  stream: ServerHttp2Stream,
  status: number,
  headers: Readonly<Record<string, string>>,
  endStream: boolean,
): void {
  if (stream.destroyed || stream.closed || stream.headersSent) return
  stream.respond({ ':status': status, ...headers }, { endStream })
}

function invalid(method: string, headers: IncomingHttpHeaders): HboneError {
  if (method !== 'CONNECT')
    return new HboneError('bad-method', `expected method CONNECT, got ${clip(method)}`)
  const authority = clip(text(headers[':authority']) ?? '')
  return new HboneError('bad-authority', `no valid authority pseudo header: ${authority}`)
}

/** Node joins repeated headers; an array is left only of those that we do not use. */
function text(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** What a peer wrote, fit for a log line. */
function clip(value: string): string {
  return value.length > MAX_QUOTED ? `${value.slice(0, MAX_QUOTED)}…` : value
}

/** Characters. A header may be 64 KiB. */
const MAX_QUOTED = 100

function ignore(): void {}
