import { once } from 'node:events'
import { connectIn, httpGetIn } from '../../src/lab/http-probe.ts'
import type { NetworkNamespace } from '../../src/linux/index.ts'

/** Whether an HTTP server answers 200. */
export async function answers(namespace: NetworkNamespace, port: number, path: string): Promise<boolean> {
  try {
    return (await httpGetIn(namespace, port, path)).status === 200
  } catch {
    return false
  }
}

/** Whether all ports take connections. */
export async function listens(namespace: NetworkNamespace, ports: readonly number[]): Promise<boolean> {
  for (const port of ports) {
    const socket = connectIn(namespace, '127.0.0.1', port)
    try {
      await once(socket, 'connect')
    } catch {
      return false
    } finally {
      socket.destroy()
    }
  }
  return true
}
