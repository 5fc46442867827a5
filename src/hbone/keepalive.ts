import type { Http2Session } from 'node:http2'
import { type HboneSettings, PING_INTERVAL_MS, PING_TIMEOUT_MS } from './settings.ts'

/**
 * Sends PING some time after the session came up and again after each PONG,
 * whatever else is sent; `onDead` is called once when a PONG stays away too
 * long. Ends with the session; returns a function that ends it before.
 *
 * TCP alone finds a dead peer after some 15 minutes, and then only if there is
 * something to send.
 */
export function startKeepalive(
  session: Http2Session,
  settings: HboneSettings,
  onDead: () => void,
): () => void {
  const intervalMs = settings.pingIntervalMs ?? PING_INTERVAL_MS
  const timeoutMs = settings.pingTimeoutMs ?? PING_TIMEOUT_MS
  let timer: NodeJS.Timeout
  const stop = (): void => clearTimeout(timer)
  const arm = (ms: number, run: () => void): void => {
    clearTimeout(timer)
    timer = setTimeout(run, ms)
    timer.unref()
  }
  const ping = (): void => {
    if (session.destroyed) return
    arm(timeoutMs, onDead)
    if (!session.closed) session.ping(onPong)
    // Node sends no PING on a session that has seen GOAWAY, and a last stream
    // may go on for hours. An empty SETTINGS is answered just as well.
    else session.settings({}, onPong)
  }
  const onPong = (error: Error | null): void => {
    if (error === null && !session.destroyed) arm(intervalMs, ping)
  }
  arm(intervalMs, ping)
  session.once('close', stop)
  return stop
}
