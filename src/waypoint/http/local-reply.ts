import { type HttpHeaders, headerValue } from '../../mesh/http/request.ts'
import type { Downstream } from './downstream.ts'
import type { HttpErrorCode } from './errors.ts'

/** What an answer of ours comes down to. */
export interface LocalReply {
  readonly status: number
  readonly grpcStatus: number | undefined
  readonly bytes: number
}

/**
 * Answers in place of an upstream. gRPC clients look at no HTTP status, so
 * they get 200 and the status that gRPC has for it, as a head without a body.
 */
export function sendLocalReply(
  downstream: Downstream,
  request: { readonly method: string; readonly headers: HttpHeaders },
  reply: { readonly status: number; readonly headers: HttpHeaders; readonly body: string },
): LocalReply {
  if (isGrpc(request.headers)) return sendGrpcReply(downstream, reply)
  const { status, body } = reply
  const headers = ['date', new Date().toUTCString(), ...reply.headers]
  if (body !== '' && headerValue(reply.headers, 'content-type') === undefined)
    headers.push('content-type', 'text/plain')
  const bytes = Buffer.byteLength(body)
  const isEmpty = bytes === 0 || request.method === 'HEAD' || status === 204 || status === 304
  const sink = downstream.sendHead(
    { status, headers },
    { hasBody: !isEmpty, contentLength: bytes, mayHaveTrailers: false },
  )
  if (!isEmpty) sink.write(body)
  downstream.finish([])
  return { status, grpcStatus: undefined, bytes: isEmpty ? 0 : bytes }
}

/** Status and text for a request that could not be sent on. The details are for the log, not for the client. */
export function failureReply(code: HttpErrorCode): { readonly status: number; readonly body: string } {
  return FAILURES[code]
}

const BROKEN = {
  status: 503,
  body: 'upstream connect error: the connection broke before the answer',
} as const

const FAILURES = {
  'connect-failed': { status: 503, body: 'upstream connect error: the workload cannot be reached' },
  overflow: { status: 503, body: 'upstream overflow: too many requests wait for a connection' },
  draining: { status: 503, body: 'the waypoint is shutting down' },
  closed: BROKEN,
  stale: BROKEN,
  refused: BROKEN,
  reset: BROKEN,
  protocol: { status: 502, body: 'upstream protocol error: what came back is no HTTP' },
  timeout: { status: 504, body: 'upstream request timeout' },
  'client-gone': { status: 499, body: '' },
  'body-too-large': { status: 413, body: 'the body of the request is too large' },
} as const satisfies Record<HttpErrorCode, { readonly status: number; readonly body: string }>

/** By HTTP status, as gRPC maps them (doc/http-grpc-status-mapping.md); 2 is UNKNOWN. */
const GRPC_STATUS: Readonly<Record<number, number>> = {
  400: 13,
  401: 16,
  403: 7,
  404: 12,
  429: 14,
  502: 14,
  503: 14,
  504: 14,
}
const GRPC_UNKNOWN = 2

export function isGrpc(headers: HttpHeaders): boolean {
  const type = headerValue(headers, 'content-type')
  return type === 'application/grpc' || /^application\/grpc[+;]/.test(type ?? '')
}

function sendGrpcReply(
  downstream: Downstream,
  reply: { readonly status: number; readonly headers: HttpHeaders; readonly body: string },
): LocalReply {
  const grpcStatus = GRPC_STATUS[reply.status] ?? GRPC_UNKNOWN
  const headers = [
    'content-type',
    'application/grpc',
    'grpc-status',
    String(grpcStatus),
    'grpc-message',
    encodeGrpcMessage(reply.body),
    ...reply.headers,
  ]
  downstream.sendHead(
    { status: 200, headers },
    { hasBody: false, contentLength: undefined, mayHaveTrailers: false },
  )
  downstream.finish([])
  return { status: 200, grpcStatus, bytes: 0 }
}

/** Percent-encoding of gRPC over HTTP/2: all but printable ASCII, and `%`. */
function encodeGrpcMessage(text: string): string {
  return encodeURIComponent(text).replace(
    /%(?:20|2[2-46CBF]|3[A-F]|40|5[BCDE]|60|7[BCD])/g,
    decodeURIComponent,
  )
}
