import { constants, type Http2Stream } from 'node:http2'
import type { Duplex } from 'node:stream'

/**
 * Cuts a stream off at once, so that the other side can tell it from an end:
 * RST_STREAM where it is a stream of HTTP/2, and else a closed connection.
 */
export function abandon(stream: Duplex): void {
  if (stream.destroyed) return
  if (isHttp2Stream(stream)) stream.close(constants.NGHTTP2_CANCEL)
  stream.destroy()
}

/**
 * Destroys a stream that is being ended when that takes too long: a peer that
 * reads no more would keep it for ever.
 */
export function endWithin(stream: Duplex, ms: number): void {
  const timer = setTimeout(() => stream.destroy(), ms)
  stream.once('close', () => clearTimeout(timer))
}

/**
 * Resets a stream that may have trailers to send. Never within a callback of
 * its session: Node puts off RST_STREAM(CANCEL) there, then asks a stream that is
 * gone for its trailers, and the process ends on an assertion (Node 26.10).
 */
export function resetLater(stream: Http2Stream, code: number): void {
  setImmediate(() => {
    if (!stream.destroyed && !stream.closed) stream.close(code)
    // What has arrived holds up the end until somebody reads it.
    stream.resume()
  })
}

/**
 * Makes an HTTP/2 session on a stream and keeps the stream's end from it, which
 * is the caller's to act on. Node answers it with an end of its own, and a
 * session that is destroyed before that is through throws out of the event loop
 * where nobody can catch it (Node 26.10): any peer could end the process.
 */
export function withoutEnd<Session>(stream: Duplex, open: () => Session): Session {
  const before = new Set(stream.listeners('end'))
  const session = open()
  for (const listener of stream.listeners('end')) {
    if (!before.has(listener)) stream.off('end', listener as () => void)
  }
  return session
}

function isHttp2Stream(stream: Duplex): stream is Http2Stream {
  return 'rstCode' in stream && 'sentHeaders' in stream
}
