import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { ERROR } from './h2/constants.ts'
import type { TunnelStream } from './h2/stream.ts'
import { TunnelDuplex } from './h2/tunnel-duplex.ts'

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
  if (stream instanceof TunnelDuplex) {
    releaseTunnel(stream.tunnel)
    stream.destroy()
  } else if (complete || !(stream instanceof Socket) || stream.readableEnded) stream.destroy()
  else linger(stream)
}

/**
 * The same for a tunnel. RST_STREAM(NO_ERROR) is for a server that has answered
 * completely and needs no more of the request (RFC 9113 section 8.1); all else is CANCEL.
 */
export function releaseTunnel(tunnel: TunnelStream): void {
  const answered = tunnel.session.role === 'server' && tunnel.endSent
  tunnel.reset(answered ? ERROR.NO_ERROR : ERROR.CANCEL)
}

function linger(socket: Socket): void {
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('end', () => socket.destroy())
  socket.once('close', () => clearTimeout(timer))
  socket.resume()
}
