import type { Http2Connection } from './connection.ts'
import { CheckFailure } from './errors.ts'
import { dataFrame, encodeFrame, errorName, FLAG, FRAME } from './frames.ts'
import { encodeFields, type Fields } from './hpack.ts'
import { describeStream, type StreamView } from './stream.ts'

export interface RequestOptions {
  readonly endStream?: boolean
  /** Default: a new one. */
  readonly streamId?: number
}

/** What came of a request. */
export type Answer =
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'reset'; readonly code: number }
  | { readonly kind: 'closed' }
  | { readonly kind: 'nothing' }

/** The pseudo-headers of a CONNECT (RFC 9113 section 8.5). */
export function connectFields(authority: string, more: Fields = []): Fields {
  return [[':method', 'CONNECT'], [':authority', authority], ...more]
}

/** HEADERS with these fields; nothing is awaited. */
export function request(
  connection: Http2Connection,
  fields: Fields,
  options: RequestOptions = {},
): StreamView {
  const { endStream = false, streamId = connection.newStreamId() } = options
  const flags = FLAG.END_HEADERS | (endStream ? FLAG.END_STREAM : 0)
  connection.write(encodeFrame({ type: FRAME.HEADERS, flags, streamId, payload: encodeFields(fields) }))
  return connection.stream(streamId)
}

/** Waits for the status, the reset, or the end of the connection. */
export async function answer(connection: Http2Connection, stream: StreamView): Promise<Answer> {
  await connection.wait(
    () => stream.status !== undefined || stream.reset !== undefined || goneFor(connection),
  )
  if (stream.status !== undefined) return { kind: 'status', status: stream.status }
  if (stream.reset !== undefined) return { kind: 'reset', code: stream.reset }
  return connection.ended !== undefined || goneFor(connection) ? { kind: 'closed' } : { kind: 'nothing' }
}

/** In a few words. */
export function describeAnswer(connection: Http2Connection, found: Answer): string {
  if (found.kind === 'status') return `status ${found.status}`
  if (found.kind === 'reset') return `RST_STREAM(${errorName(found.code)})`
  return found.kind === 'closed' ? connection.describeEnd() : 'no answer'
}

/** Whether it says no: a status from 400 on, a reset, or the end of the connection. */
export function isRefusal(found: Answer): boolean {
  if (found.kind === 'status') return found.status >= 400
  return found.kind !== 'nothing'
}

/** An open tunnel; throws `CheckFailure` when the answer is not 200. */
export async function openTunnel(
  connection: Http2Connection,
  authority: string,
  more: Fields = [],
): Promise<StreamView> {
  const stream = request(connection, connectFields(authority, more))
  const found = await answer(connection, stream)
  if (found.kind === 'status' && found.status === 200) return stream
  throw new CheckFailure(`CONNECT ${authority}: ${describeAnswer(connection, found)}`)
}

/** Sends all of it, as the windows and the frame size allow. Throws `CheckFailure` when no more credit comes. */
export async function sendAll(
  connection: Http2Connection,
  stream: StreamView,
  bytes: Buffer,
  endStream = false,
): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const piece = bytes.subarray(at, at + PIECE)
    await connection.until(
      `credit after ${at} of ${bytes.length} bytes`,
      () => stream.reset !== undefined || connection.spend(stream.id, piece.length),
    )
    if (stream.reset !== undefined) throw new CheckFailure(`while sending: ${describeStream(stream)}`)
    at += piece.length
    connection.write(dataFrame(stream.id, piece, endStream && at === bytes.length))
  }
}

/** All bytes that came on the stream. */
export function content(stream: StreamView): Buffer {
  return Buffer.concat(stream.received)
}

function goneFor(connection: Http2Connection): boolean {
  return connection.goaways.some(({ code }) => code !== 0)
}

/** The smallest limit that a peer may set (RFC 9113 section 6.5.2). */
const PIECE = 16_384
