// A pod's client program: makes one connection, reports what happened as one
// line of JSON. Runs by itself, imports nothing but Node, knows nothing of any mesh.
//
//   node client.ts '{"kind":"http","host":"10.96.2.12","port":80,"path":"/","marker":"m-1"}'
import { createHash } from 'node:crypto'
import { Agent, type IncomingMessage, request } from 'node:http'
import { createConnection, type Socket } from 'node:net'

interface ClientRequest {
  readonly kind: 'http' | 'tcp'
  readonly host: string
  readonly port: number
  /** HTTP only. */
  readonly path?: string
  /** HTTP only: how many, on one connection. Default 1. */
  readonly requests?: number
  /** HTTP only. Default GET. */
  readonly method?: string
  /** HTTP only, besides the marker. */
  readonly headers?: Readonly<Record<string, string>>
  /** Text that must arrive and must come back. */
  readonly marker: string
  /** TCP only: bytes to send before the half-close. */
  readonly size?: number
  readonly timeoutMs?: number
}

const DEFAULT_TIMEOUT_MS = 15_000
/** Bodies up to this size are reported, larger ones only counted. */
const MAX_BODY_BYTES = 64 * 1024

async function main(): Promise<void> {
  const options = JSON.parse(process.argv[2] ?? '{}') as ClientRequest
  const started = performance.now()
  const seen: Partial<{ localAddress: string; localPort: number }> = {}
  const onConnected = (socket: Socket): void => {
    if (socket.localAddress !== undefined) seen.localAddress = socket.localAddress
    if (socket.localPort !== undefined) seen.localPort = socket.localPort
  }
  let outcome: Record<string, unknown>
  try {
    const made = options.kind === 'http' ? overHttp(options, onConnected) : overTcp(options, onConnected)
    outcome = { ok: true, ...(await made) }
  } catch (error) {
    outcome = { ok: false, error: error instanceof Error ? error.message : String(error) }
  }
  const milliseconds = performance.now() - started
  process.stdout.write(`${JSON.stringify({ ...seen, ...outcome, milliseconds })}\n`)
}

async function overHttp(
  options: ClientRequest,
  onConnected: (socket: Socket) => void,
): Promise<Record<string, unknown>> {
  const { requests = 1 } = options
  const agent = requests > 1 ? new Agent({ keepAlive: true, maxSockets: 1 }) : false
  const statuses: unknown[] = []
  try {
    for (;;) {
      const outcome = await oneRequest(options, agent, onConnected)
      statuses.push(outcome['status'])
      if (statuses.length === requests) return { ...outcome, statuses }
    }
  } finally {
    if (agent !== false) agent.destroy()
  }
}

function oneRequest(
  options: ClientRequest,
  agent: Agent | false,
  onConnected: (socket: Socket) => void,
): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const { host, port, path = '/', method = 'GET', marker } = options
    const closing = agent === false ? { connection: 'close' } : {}
    const headers = { 'x-lab-marker': marker, ...closing, ...options.headers }
    const call = request({ host, port, path, method, headers, agent }, (response) => {
      readBody(response, marker).then(resolve, reject)
    })
    call.on('socket', (socket) => {
      if (socket.connecting) socket.once('connect', () => onConnected(socket))
    })
    const patience = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
    call.setTimeout(patience, () => call.destroy(new Error(`no answer within ${patience} ms`)))
    call.on('error', reject)
    call.end()
  })
}

async function readBody(response: IncomingMessage, marker: string): Promise<Record<string, unknown>> {
  const hash = createHash('sha256')
  const kept: Buffer[] = []
  let received = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    received += chunk.length
    hash.update(chunk)
    if (received <= MAX_BODY_BYTES) kept.push(chunk)
  }
  const text = Buffer.concat(kept).toString('utf8')
  return {
    status: response.statusCode,
    headers: response.headers,
    received,
    sha256: hash.digest('hex'),
    announcedSha256: response.trailers['x-sha256'],
    markerReturned: text.includes(marker),
    body: received <= MAX_BODY_BYTES ? text : '',
  }
}

/** Reads the server's greeting, sends, closes its own half, and then waits for the answer. */
function overTcp(
  options: ClientRequest,
  onConnected: (socket: Socket) => void,
): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const { host, port, marker } = options
    const payload = Buffer.alloc(Math.max(options.size ?? marker.length, marker.length), '.')
    payload.write(marker)
    const socket = createConnection({ host, port, allowHalfOpen: true })
    const patience = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
    socket.setTimeout(patience, () => socket.destroy(new Error(`no answer within ${patience} ms`)))
    socket.once('connect', () => onConnected(socket))
    socket.once('error', reject)
    let text = ''
    let halfClosed = false
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => {
      text += chunk
      if (halfClosed || !text.includes('\n')) return
      halfClosed = true
      socket.end(payload)
    })
    socket.once('end', () => {
      const [greeting = '', answer = ''] = text.split('\n')
      if (!halfClosed || answer === '') {
        reject(new Error(halfClosed ? 'the answer after the half-close is lost' : 'closed before any byte'))
        return
      }
      const reply = JSON.parse(answer) as { bytes: number; sha256: string }
      const sha256 = createHash('sha256').update(payload).digest('hex')
      const intact = reply.bytes === payload.length && reply.sha256 === sha256
      resolve({
        greeting,
        sent: payload.length,
        received: Buffer.byteLength(text),
        sha256,
        announcedSha256: reply.sha256,
        markerReturned: intact && answer.includes(marker),
        body: answer,
      })
    })
  })
}

void main()
