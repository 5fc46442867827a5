import { get } from 'node:http'
import { isIPv6, Socket } from 'node:net'
import { type NetworkNamespace, openTcpSocket } from '../linux/index.ts'

export interface ProbeResponse {
  readonly status: number
  readonly body: string
}

/** One HTTP GET from inside a network namespace, made by this process. Rejects when nothing answers. */
export function httpGetIn(
  namespace: NetworkNamespace,
  port: number,
  path: string,
  host = '127.0.0.1',
): Promise<ProbeResponse> {
  return new Promise((resolve, reject) => {
    const createConnection = (): Socket => connectIn(namespace, host, port)
    const request = get({ host, port, path, createConnection, timeout: REQUEST_TIMEOUT_MS }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
      )
      response.on('error', reject)
    })
    request.on('timeout', () => request.destroy(new Error(`no answer from ${host}:${port}${path}`)))
    request.on('error', reject)
  })
}

/** A TCP connection that starts in a network namespace. */
export function connectIn(namespace: NetworkNamespace, host: string, port: number): Socket {
  const fd = namespace.run(() => openTcpSocket({ family: isIPv6(host) ? 6 : 4 }))
  return new Socket({ fd, readable: true, writable: true, ...MANUAL_START }).connect({ host, port })
}

export interface HealthQuestion {
  readonly namespace: NetworkNamespace
  readonly port: number
  readonly path: string
  readonly host: string
  /** Ends the asking. */
  readonly signal: AbortSignal
  /** Told of every answer that was not 200. */
  readonly onUnhealthy: (answer: string) => void
}

/** Asks until the answer is 200 or the signal fires. The caller bounds the time. */
export async function untilHealthy(question: HealthQuestion): Promise<void> {
  const { namespace, port, path, host, signal, onUnhealthy } = question
  while (!signal.aborted) {
    try {
      const { status, body } = await httpGetIn(namespace, port, path, host)
      if (status === 200) return
      onUnhealthy(`${host}:${port}${path} answers ${status} ${body.trim()}`)
    } catch (error) {
      onUnhealthy(error instanceof Error ? error.message : String(error))
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
  }
}

const REQUEST_TIMEOUT_MS = 2_000
/** Between two questions: short, since the answer is what the user waits for, and one question costs 1 ms. */
const RETRY_MS = 40
/** Reading must not begin before the connect: an unconnected socket answers ENOTCONN. */
const MANUAL_START: object = { manualStart: true }
