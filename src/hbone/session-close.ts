import type { Duplex } from 'node:stream'
import type { Http2Session } from './h2/session.ts'

/** For GOAWAY and close_notify to leave, milliseconds. */
const CLOSE_GRACE_MS = 1000
/** For the last bytes of the last stream to leave, and the peer to end as well, milliseconds. */
const END_GRACE_MS = 10_000

/**
 * Ends a session now: GOAWAY(NO_ERROR), all of its streams cut. Also to be
 * called when a session has failed: TLS waits until the last byte is written,
 * which never happens when the peer is dead. So the socket below is destroyed
 * after a moment.
 */
export function closeSession(session: Http2Session, socket: Duplex): void {
  session.destroy()
  destroyWithin(socket, CLOSE_GRACE_MS)
}

/**
 * Ends a session that has no streams any more: GOAWAY(NO_ERROR), and the end
 * once what they wrote is gone. A stream counts as closed when HTTP/2 has its
 * last byte, not the socket: to destroy the session then would lose it.
 */
export function endSession(session: Http2Session, socket: Duplex): void {
  session.close()
  destroyWithin(socket, END_GRACE_MS)
}

function destroyWithin(socket: Duplex, ms: number): void {
  if (socket.destroyed) return
  const timer = setTimeout(() => socket.destroy(), ms)
  timer.unref()
  socket.once('close', () => clearTimeout(timer))
}
