// A pod's application: an HTTP server and a TCP server that know nothing of
// any mesh. Runs by itself, imports nothing but Node.
//
//   node server.ts '{"name":"bar/httpbin","http":8000,"tcp":9000}'
import { createHash } from 'node:crypto'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTcpServer, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout } from 'node:timers/promises'

interface ServerOptions {
  readonly name: string
  readonly http?: number
  readonly tcp?: number
}

/** One block is made once and sent again and again: the server's own work must not be what is measured. */
const BLOCK_BYTES = 1024 * 1024
const MAX_DOWNLOAD_BYTES = 1024 ** 4
const MAX_MARKERS = 1_000

function main(): void {
  const options = JSON.parse(process.argv[2] ?? '{}') as ServerOptions
  const listening: Promise<void>[] = []
  if (options.http !== undefined) listening.push(serveHttp(options.name, options.http))
  if (options.tcp !== undefined) listening.push(serveTcp(options.name, options.tcp))
  void Promise.all(listening).then(() => process.stdout.write('listening\n'))
}

function serveHttp(name: string, port: number): Promise<void> {
  const seen: Seen = new Map()
  const server = createHttpServer((request, response) => {
    respond(name, seen, request, response).catch((error: unknown) => response.destroy(error as Error))
  })
  // Whatever the protocol: what comes after the switch comes back.
  server.on('upgrade', (request, socket) => {
    socket.on('error', () => socket.destroy())
    const protocol = request.headers.upgrade ?? ''
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\nX-App: ${name}\r\n\r\n`,
    )
    socket.pipe(socket)
  })
  return new Promise((resolve) => server.listen(port, resolve))
}

/** Requests of an HTTP server by their markers, the last ones. */
type Seen = Map<string, number>

/** How many requests with this marker there were, this one included. */
function countRequest(seen: Seen, marker: string): number {
  const count = (seen.get(marker) ?? 0) + 1
  seen.delete(marker)
  seen.set(marker, count)
  const [oldest] = seen.keys()
  if (seen.size > MAX_MARKERS && oldest !== undefined) seen.delete(oldest)
  return count
}

async function respond(
  name: string,
  seen: Seen,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://app')
  const download = /^\/bytes\/(\d+)$/.exec(url.pathname)
  if (download !== null) return sendBytes(Number(download[1]), response)
  const delay = /^\/delay\/(\d{1,5})$/.exec(url.pathname)
  if (delay !== null) await setTimeout(Number(delay[1]))
  // Who is told to fail, fails; another instance of the same service does not.
  if (request.headers['x-lab-fail'] === name) response.statusCode = 503
  const marker = String(request.headers['x-lab-marker'] ?? '')
  const count = countRequest(seen, marker)
  const received = await digest(request)
  const answer = {
    app: name,
    from: remoteAddress(request.socket),
    method: request.method,
    path: request.url,
    headers: request.headers,
    seen: count,
    ...received,
  }
  response.setHeader('content-type', 'application/json')
  response.end(`${JSON.stringify(answer)}\n`)
}

/** A body of `size` bytes; its SHA-256 follows as a trailer, computed from what was sent. */
async function sendBytes(size: number, response: ServerResponse): Promise<void> {
  if (!Number.isSafeInteger(size) || size > MAX_DOWNLOAD_BYTES) {
    response.statusCode = 400
    response.end('too many bytes\n')
    return
  }
  const hash = createHash('sha256')
  response.setHeader('content-type', 'application/octet-stream')
  response.setHeader('trailer', 'x-sha256')
  await pipeline(
    Readable.from(blocks(size, hash), { objectMode: false, highWaterMark: BLOCK_BYTES }),
    response,
    { end: false },
  )
  response.addTrailers({ 'x-sha256': hash.digest('hex') })
  response.end()
}

function* blocks(size: number, hash: ReturnType<typeof createHash>): Generator<Buffer> {
  const block = Buffer.alloc(BLOCK_BYTES)
  for (let i = 0; i < BLOCK_BYTES; i += 4) block.writeUInt32LE(Math.imul(i, 2654435761) >>> 0, i)
  for (let left = size; left > 0; left -= BLOCK_BYTES) {
    const chunk = left >= BLOCK_BYTES ? block : block.subarray(0, left)
    hash.update(chunk)
    yield chunk
  }
}

async function digest(body: Readable): Promise<{ bytes: number; sha256: string; text: string }> {
  const hash = createHash('sha256')
  const head: Buffer[] = []
  let bytes = 0
  // Without this option the loop's end destroys a socket whose other half is still needed.
  for await (const chunk of body.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    if (bytes < MAX_ECHO_BYTES) head.push(chunk)
    bytes += chunk.length
    hash.update(chunk)
  }
  const text = Buffer.concat(head).subarray(0, MAX_ECHO_BYTES).toString('utf8')
  return { bytes, sha256: hash.digest('hex'), text }
}

/**
 * Speaks first, then reads until the client has closed its half, and only then
 * answers: a path that ends both directions at the first FIN loses the answer.
 */
function serveTcp(name: string, port: number): Promise<void> {
  const server = createTcpServer({ allowHalfOpen: true }, (socket: Socket) => {
    socket.on('error', () => socket.destroy())
    socket.write(`220 ${name} ready\n`)
    digest(socket).then(
      (received) =>
        socket.end(`${JSON.stringify({ app: name, from: remoteAddress(socket), ...received })}\n`),
      () => socket.destroy(),
    )
  })
  return new Promise((resolve) => server.listen(port, resolve))
}

/** A dual-stack listener shows IPv4 clients as IPv4-mapped IPv6. */
function remoteAddress({ remoteAddress }: Socket): string | undefined {
  return remoteAddress?.replace(/^::ffff:/, '')
}

/** How much of a request comes back in the answer. */
const MAX_ECHO_BYTES = 4096

main()
