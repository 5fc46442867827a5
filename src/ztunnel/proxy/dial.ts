import type { Socket } from 'node:net'
import { withDeadline } from '../../hbone/deadline.ts'
import type { Cancellation } from '../../hbone/index.ts'
import { formatSocketAddress, type SocketAddress } from '../../mesh/index.ts'
import { ProxyError } from '../errors.ts'

/**
 * Waits until a socket is connected. Rejects with the operator's text after
 * `timeoutMs` (10 s in Istio), and with the signal's reason when it fires; the
 * socket is destroyed then.
 */
export async function connected(
  socket: Socket,
  destination: SocketAddress,
  timeoutMs: number,
  signal: Cancellation,
): Promise<Socket> {
  const silent = (): ProxyError => {
    const target = formatSocketAddress(destination)
    return new ProxyError('connect-timeout', `connection failed: no answer from ${target} in ${timeoutMs} ms`)
  }
  try {
    await withDeadline<void>({ ms: timeoutMs, error: silent, signal }, (resolve, reject) => {
      const onError = (error: Error): void =>
        reject(new ProxyError('connect-failed', `connection failed: ${error.message}`, { cause: error }))
      socket.once('connect', resolve).once('error', onError)
      return () => socket.off('connect', resolve).off('error', onError)
    })
    return socket
  } catch (error) {
    // A late error of the abandoned socket must not crash the process.
    socket.on('error', ignore)
    socket.destroy()
    throw error
  }
}

function ignore(): void {}
