import { once } from 'node:events'
import { createServer, type RequestListener, type ServerOptions } from 'node:http'
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Stream } from 'node:http2'
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net'
import { type Duplex, duplexPair } from 'node:stream'
import type { Test } from 'tap'
import type { ForwardOptions, ForwardResult, ForwardTarget, HttpExchange } from './exchange.ts'
import { type HttpProtocol, HttpUpstreamPool, type ServeHttpOptions, serveHttp } from './index.ts'

/** An upstream on loopback that counts what reaches it. */
export interface TestUpstream {
  readonly port: number
  readonly target: ForwardTarget
  /** Connections so far. */
  readonly connections: () => number
}

export function targetOf(port: number, protocol: HttpProtocol): ForwardTarget {
  return {
    upstreamKey: `127.0.0.1:${port}`,
    protocol,
    connect: async () => {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
      await once(socket, 'connect')
      return socket
    },
  }
}

export async function http1Upstream(
  t: Test,
  listener: RequestListener,
  options: ServerOptions = {},
): Promise<TestUpstream> {
  const server = createServer(options, listener)
  let connections = 0
  server.on('connection', () => connections++)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  return { port, target: targetOf(port, 'http1'), connections: () => connections }
}

export async function http2Upstream(
  t: Test,
  onStream: (stream: ServerHttp2Stream, headers: Record<string, string>) => void,
): Promise<TestUpstream & { readonly server: Http2Server }> {
  const server = createHttp2Server()
  let connections = 0
  server.on('session', (session) => {
    connections++
    t.teardown(() => session.destroy())
  })
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', () => {})
    onStream(stream, headers as Record<string, string>)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  return { port, server, target: targetOf(port, 'http2'), connections: () => connections }
}

/** An upstream that does with bytes what it likes. */
export async function rawUpstream(t: Test, onSocket: (socket: Socket) => void): Promise<TestUpstream> {
  const sockets = new Set<Socket>()
  let connections = 0
  const server = createTcpServer({ allowHalfOpen: true }, (socket) => {
    connections++
    sockets.add(socket)
    socket.on('error', () => {})
    onSocket(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const { port } = server.address() as AddressInfo
  return { port, target: targetOf(port, 'http1'), connections: () => connections }
}

export interface TestEngine {
  /** A new tunnel into the engine; this is the client's end. */
  open(): Duplex
  /** Of every tunnel: resolves when it is closed. */
  readonly served: Promise<void>[]
  readonly results: ForwardResult[]
  readonly exchanges: HttpExchange[]
  readonly refusals: string[]
  readonly upstreams: HttpUpstreamPool
  /** The next result that has not been waited for. */
  nextResult(): Promise<ForwardResult>
}

export interface TestEngineOptions extends Partial<ServeHttpOptions> {
  /** What `forward` is called with beside the head. Default: no retries. */
  readonly forward?: Partial<ForwardOptions>
}

/** The engine with a handler that forwards everything to one target. */
export function engine(
  t: Test,
  target: ForwardTarget | undefined,
  options: TestEngineOptions = {},
): TestEngine {
  const upstreams = options.upstreams ?? new HttpUpstreamPool()
  t.teardown(() => upstreams.close())
  const served: Promise<void>[] = []
  const results: ForwardResult[] = []
  const exchanges: HttpExchange[] = []
  const refusals: string[] = []
  const waiting: ((result: ForwardResult) => void)[] = []
  let taken = 0
  const onRequest = (exchange: HttpExchange): void => {
    exchanges.push(exchange)
    const done =
      target === undefined
        ? exchange.respond(200, [], 'local')
        : exchange.forward({ ...target, head: exchange.head, ...options.forward })
    void done.then((result) => {
      results.push(result)
      const next = waiting.shift()
      if (next !== undefined) {
        taken++
        next(result)
      }
    })
  }
  return {
    served,
    results,
    exchanges,
    refusals,
    upstreams,
    nextResult: () =>
      new Promise((resolve) => {
        const ready = results[taken]
        if (ready === undefined) waiting.push(resolve)
        else {
          taken++
          resolve(ready)
        }
      }),
    open: () => {
      const [client, tunnel] = duplexPair()
      client.on('error', () => {})
      t.teardown(() => client.destroy())
      served.push(
        serveHttp(tunnel, {
          protocol: 'auto',
          onRequest,
          onRefused: (status, reason) => refusals.push(`${status} ${reason}`),
          ...options,
          upstreams,
        }),
      )
      return client
    },
  }
}

/** Writes `bytes`, and resolves with everything that comes back until the end, or until `until` matches. */
export async function talk(client: Duplex, bytes: string | Buffer, until?: RegExp): Promise<string> {
  let text = ''
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`nothing that matches ${until} in: ${text}`)), 15_000)
    const finish = (): void => {
      clearTimeout(timer)
      client.off('data', onData).off('end', finish).off('close', finish)
      resolve(text)
    }
    const onData = (chunk: Buffer): void => {
      text += chunk.toString('latin1')
      if (until?.test(text)) finish()
    }
    client.on('data', onData).once('end', finish).once('close', finish)
    client.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
  })
}
