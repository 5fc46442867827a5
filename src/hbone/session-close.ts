import type { Http2Session } from 'node:http2'
import type { Duplex } from 'node:stream'

/** For GOAWAY and close_notify to leave, milliseconds. */
const CLOSE_GRACE_MS = 1000

/**
 * Ends a session now: GOAWAY(NO_ERROR), all of its streams cut. Also to be
 * called when a session has failed: Node waits until the last byte is written,
 * which never happens when the peer is dead. So the socket below is destroyed
 * after a moment.
 */
export function closeSession(session: Http2Session, socket: Duplex): void {
  if (!session.destroyed) session.destroy()
  if (socket.destroyed) return
  const timer = setTimeout(() => socket.destroy(), CLOSE_GRACE_MS)
  timer.unref()
  socket.once('close', () => clearTimeout(timer))
}
