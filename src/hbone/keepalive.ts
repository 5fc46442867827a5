import type { Http2Session } from './h2/session.ts'
import { type HboneSettings, PING_INTERVAL_MS, PING_TIMEOUT_MS } from './settings.ts'

/**
 * Sends PING some time after the session came up and again after each PONG,
 * whatever else is sent; `onDead` is called once when a PONG stays away too
 * long. Returns a function that ends it, to be called with the end of the session.
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
    session.ping(onPong)
  }
  const onPong = (): void => {
    if (!session.destroyed) arm(intervalMs, ping)
  }
  arm(intervalMs, ping)
  return stop
}
