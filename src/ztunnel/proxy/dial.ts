import type { Socket } from 'node:net'
import { formatSocketAddress, type SocketAddress } from '../../mesh/index.ts'
import { ProxyError } from '../errors.ts'

/**
 * Waits until a socket is connected. Rejects with the operator's text after
 * `timeoutMs` (10 s in Istio) or when `signal` fires; the socket is destroyed
 * then.
 */
export function connected(
  socket: Socket,
  destination: SocketAddress,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const finish = (error?: Error): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      socket.off('connect', onConnect)
      socket.off('error', onError)
      if (error === undefined) {
        resolve(socket)
        return
      }
      // A late error of the abandoned socket must not crash the process.
      socket.on('error', ignore)
      socket.destroy()
      reject(error)
    }
    const target = formatSocketAddress(destination)
    const onConnect = (): void => finish()
    const onError = (error: Error): void =>
      finish(new ProxyError('connect-failed', `connection failed: ${error.message}`, { cause: error }))
    const onAbort = (): void => finish(abortReason(signal))
    const timer = setTimeout(
      () =>
        finish(
          new ProxyError('connect-timeout', `connection failed: no answer from ${target} in ${timeoutMs} ms`),
        ),
      timeoutMs,
    )
    if (signal.aborted) return onAbort()
    socket.once('connect', onConnect)
    socket.once('error', onError)
    signal.addEventListener('abort', onAbort, { once: true })
  })
}

/** Why a signal fired, as an error. */
export function abortReason(signal: AbortSignal): Error {
  return signal.reason instanceof Error
    ? signal.reason
    : new ProxyError('drained', 'connection closed due to connection drain')
}

function ignore(): void {}
