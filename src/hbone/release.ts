import { constants } from 'node:http2'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { isHttp2Stream, isServerStream } from './http2-stream.ts'

/**
 * How long a TCP peer that got our FIN, but has not sent its own, is still
 * read from, milliseconds. The time to receive what it has in flight: if that
 * met a closed socket, the kernel would answer with RST, and throw away what
 * the peer has not read yet.
 */
export const LINGER_MS = 2000

/**
 * Lets go of a stream that nobody will read from or write to any more. All
 * that was written is still delivered.
 */
export function release(stream: Duplex): void {
  if (stream.destroyed) return
  const complete = stream.readableEnded && stream.writableFinished
  if (isHttp2Stream(stream)) {
    // A complete one destroys itself once its END_STREAM is out.
    if (!complete) reset(stream)
  } else if (complete || !(stream instanceof Socket) || stream.readableEnded) stream.destroy()
  else linger(stream)
}

/** Cuts a stream off at once: RST_STREAM, or a closed socket. */
export function abandon(stream: Duplex): void {
  if (stream.destroyed) return
  // RST_STREAM waits for room in the connection; we do not.
  if (isHttp2Stream(stream)) stream.close(constants.NGHTTP2_CANCEL)
  stream.destroy()
}

/**
 * RST_STREAM(NO_ERROR) is for a server that has answered completely and needs
 * no more of the request (RFC 9113 section 8.1); all else is CANCEL.
 */
function reset(stream: Parameters<typeof isServerStream>[0]): void {
  const answered = isServerStream(stream) && stream.writableFinished
  stream.close(answered ? constants.NGHTTP2_NO_ERROR : constants.NGHTTP2_CANCEL)
  // After NO_ERROR Node waits for somebody to read what has arrived.
  stream.resume()
}

function linger(socket: Socket): void {
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('end', () => socket.destroy())
  socket.once('close', () => clearTimeout(timer))
  socket.resume()
}
