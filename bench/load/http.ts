// A cheap HTTP/1.1 client that measures latency.
//   http.ts closed HOST PORT PATH SECONDS CONNECTIONS    one request at a time on each
//   http.ts connect HOST PORT PATH SECONDS CONNECTIONS   each on a new connection
//   http.ts open HOST PORT PATH SECONDS CONNECTIONS RATE at a fixed rate, whatever the answers do
// In `open`, latency counts from when a request was due, not from when it could
// be sent, so that a proxy that stalls is charged with all that had to wait.
import { connect, type Socket } from 'node:net'
import { percentile } from '../statistics.ts'

const [mode = 'closed', host = '', port = '0', path = '/', seconds = '1', connections = '1', rate = '1000'] =
  process.argv.slice(2)
const KEEP = Buffer.from(`GET ${path} HTTP/1.1\r\nHost: bench\r\n\r\n`)
const CLOSE = Buffer.from(`GET ${path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n`)
const HEADERS_END = '\r\n\r\n'
/** After the last one was due. Milliseconds. */
const GRACE_MS = 5_000

const latencies: number[] = []
let failed = 0
const began = performance.now()
const deadline = began + Number(seconds) * 1000

async function closedLoop(): Promise<void> {
  const connection = await Connection.open()
  while (performance.now() < deadline) await timed(() => connection.ask(KEEP))
}

async function newConnections(): Promise<void> {
  while (performance.now() < deadline) {
    await timed(async () => {
      const connection = await Connection.open()
      await connection.ask(CLOSE)
      connection.close()
    })
  }
}

/**
 * What is due and finds no free connection waits in order. The timer goes in
 * steps of a millisecond: what became due within one counts from its end, so
 * that the client's own coarseness is not charged to anybody.
 */
async function openLoop(): Promise<void> {
  const free = await Promise.all(Array.from({ length: Number(connections) }, () => Connection.open()))
  const start = performance.now()
  const total = Math.floor(Number(rate) * Number(seconds))
  const waiting: number[] = []
  let due = 0
  const send = (): void => {
    while (waiting.length > 0) {
      const connection = free.pop()
      if (connection === undefined) return
      const since = waiting.shift() ?? 0
      const done = (): void => {
        latencies.push(performance.now() - since)
        free.push(connection)
        send()
      }
      connection.ask(KEEP).then(done, () => {
        failed += 1
      })
    }
  }
  const end = start + Number(seconds) * 1000 + GRACE_MS
  while (latencies.length + failed < total && performance.now() < end) {
    const now = performance.now()
    for (; due < total && start + (due * 1000) / Number(rate) <= now; due++) waiting.push(now)
    send()
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  failed = total - latencies.length
}

async function timed(request: () => Promise<void>): Promise<void> {
  const at = performance.now()
  try {
    await request()
    latencies.push(performance.now() - at)
  } catch {
    failed += 1
    // What fails at once would otherwise be asked a million times.
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** One connection, one request at a time. */
class Connection {
  readonly #socket: Socket
  #received = 0
  #expected = Number.POSITIVE_INFINITY
  #resolve: () => void = () => undefined
  #reject: (error: Error) => void = () => undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (piece: Buffer) => this.#read(piece))
    socket.on('error', (error) => this.#reject(error))
    socket.on('close', () => this.#reject(new Error('closed')))
  }

  static open(): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port: Number(port), noDelay: true })
      socket.once('error', reject)
      socket.once('connect', () => resolve(new Connection(socket)))
    })
  }

  ask(request: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#received = 0
      this.#resolve = resolve
      this.#reject = reject
      this.#socket.write(request)
    })
  }

  close(): void {
    this.#socket.destroy()
  }

  /** All answers are as long as the first. */
  #read(piece: Buffer): void {
    if (this.#received === 0 && this.#expected === Number.POSITIVE_INFINITY) {
      const head = piece.toString('latin1')
      const length = /content-length: (\d+)/i.exec(head)?.[1]
      if (length !== undefined)
        this.#expected = head.indexOf(HEADERS_END) + HEADERS_END.length + Number(length)
    }
    this.#received += piece.length
    if (this.#received >= this.#expected) this.#resolve()
  }
}

function report(): void {
  const elapsed = (performance.now() - began) / 1000
  const sorted = latencies.sort((a, b) => a - b)
  const result = {
    requests: sorted.length,
    failed,
    seconds: elapsed,
    p50ms: percentile(sorted, 0.5),
    p99ms: percentile(sorted, 0.99),
    p999ms: percentile(sorted, 0.999),
  }
  process.stdout.write(`${JSON.stringify(result)}\n`)
  process.exit()
}

// Below the class, which is not there before.
if (mode === 'closed') await Promise.all(Array.from({ length: Number(connections) }, closedLoop))
else if (mode === 'connect') await Promise.all(Array.from({ length: Number(connections) }, newConnections))
else await openLoop()
report()
