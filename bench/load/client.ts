// The near end: one measure for a number of seconds, its result as one line of
// JSON. Knows nothing of what lies between it and the server.
import { Agent, request } from 'node:http'
import { connect } from 'node:net'

const [measure, host = '', port = '0', seconds = '3', connections = '1'] = process.argv.slice(2)
const target = { host, port: Number(port) }
const deadline = performance.now() + Number(seconds) * 1000
const began = performance.now()

const MEASURES: Readonly<Record<string, () => Promise<Record<string, number>>>> = {
  up: () => bulk('u'),
  down: () => bulk('d'),
  keepalive: () => requests(),
  connect: () => newConnections(),
}

const LAST_REQUEST = 'GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n'

const run = MEASURES[measure ?? '']
if (run === undefined) throw new Error(`unknown measure ${measure}; known: ${Object.keys(MEASURES)}`)
process.stdout.write(`${JSON.stringify(await run())}\n`)
process.exit(0)

/** Gbit/s of one connection, by what the receiver's window let through. */
function bulk(direction: 'u' | 'd'): Promise<Record<string, number>> {
  const chunk = Buffer.alloc(256 * 1024, 'z')
  return new Promise((resolve, reject) => {
    const socket = connect({ ...target, noDelay: true })
    let received = 0
    const done = (): void => {
      const bytes = direction === 'd' ? received : socket.bytesWritten - socket.writableLength
      resolve({ gbps: (bytes * 8) / (performance.now() - began) / 1e6 })
    }
    setTimeout(done, deadline - performance.now())
    socket.on('error', reject)
    socket.on('data', (data) => {
      received += data.length
    })
    const pour = (): void => {
      while (socket.writable && socket.write(chunk));
    }
    socket.on('connect', () => {
      socket.write(direction)
      if (direction === 'u') {
        socket.on('drain', pour)
        pour()
      }
    })
  })
}

/** Requests per second and latency of keep-alive connections, each with one request at a time. */
function requests(): Promise<Record<string, number>> {
  const agent = new Agent({ keepAlive: true, maxSockets: Number(connections) })
  return repeat(() => get(agent))
}

/** A TCP connection of its own for every request, to its end. */
function newConnections(): Promise<Record<string, number>> {
  return repeat(
    () =>
      new Promise((resolve) => {
        let received = 0
        const socket = connect({ ...target, noDelay: true }, () => socket.write(LAST_REQUEST))
        socket.on('data', (data) => {
          received += data.length
        })
        socket.on('error', () => resolve(false))
        socket.on('close', () => resolve(received > 0))
      }),
  )
}

async function repeat(once: () => Promise<boolean>): Promise<Record<string, number>> {
  const latencies: number[] = []
  let failed = 0
  const worker = async (): Promise<void> => {
    while (performance.now() < deadline) {
      const start = performance.now()
      if (await once()) latencies.push(performance.now() - start)
      else failed++
    }
  }
  await Promise.all(Array.from({ length: Number(connections) }, worker))
  latencies.sort((a, b) => a - b)
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? Number.NaN
  const rps = (latencies.length * 1000) / (performance.now() - began)
  return { rps, p50ms: at(0.5), p99ms: at(0.99), failed }
}

function get(agent: Agent): Promise<boolean> {
  return new Promise((resolve) => {
    const outgoing = request({ ...target, agent, path: '/' }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode === 200))
      response.on('error', () => resolve(false))
    })
    outgoing.on('error', () => resolve(false))
    outgoing.end()
  })
}
