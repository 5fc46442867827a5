import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import {
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
  makeGenericClientConstructor,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type ServiceError,
  type sendUnaryData,
} from '@grpc/grpc-js'
import t, { type Test } from 'tap'
import { engine, type TestEngine, targetOf } from './test-support.ts'

const text = {
  requestSerialize: (value: string) => Buffer.from(value),
  requestDeserialize: (bytes: Buffer) => bytes.toString(),
  responseSerialize: (value: string) => Buffer.from(value),
  responseDeserialize: (bytes: Buffer) => bytes.toString(),
}

const SERVICE = {
  unary: { path: '/echo.Echo/Unary', requestStream: false, responseStream: false, ...text },
  fails: { path: '/echo.Echo/Fails', requestStream: false, responseStream: false, ...text },
  many: { path: '/echo.Echo/Many', requestStream: false, responseStream: true, ...text },
  both: { path: '/echo.Echo/Both', requestStream: true, responseStream: true, ...text },
} as const satisfies ServiceDefinition

type Echo = InstanceType<ReturnType<typeof makeGenericClientConstructor>>

async function grpcServer(t: Test): Promise<number> {
  const server = new Server()
  server.addService(SERVICE, {
    unary: (call: ServerUnaryCall<string, string>, done: sendUnaryData<string>) => {
      const trailers = new Metadata()
      trailers.set('x-trailer', String(call.metadata.get('x-meta')[0]))
      done(null, `unary ${call.request}`, trailers)
    },
    fails: (_call: unknown, done: sendUnaryData<string>) => done({ code: 9, details: 'not now' }),
    many: (call: ServerWritableStream<string, string>) => {
      for (let index = 0; index < 100; index++) call.write(`${call.request} ${index}`)
      call.end()
    },
    both: (call: ServerDuplexStream<string, string>) => {
      call.on('data', (value: string) => call.write(`<${value}>`))
      call.on('end', () => call.end())
    },
  })
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound)
      else reject(error)
    })
  })
  t.teardown(() => server.forceShutdown())
  return port
}

/** The gRPC client dials sockets only, so every one of them is piped into a tunnel. */
async function grpcClient(t: Test, { open }: TestEngine): Promise<Echo> {
  const join = (socket: Socket): void => {
    const tunnel: Duplex = open()
    socket.on('error', () => {}).pipe(tunnel)
    tunnel.pipe(socket)
    t.teardown(() => socket.destroy())
  }
  const front = createServer(join)
  front.listen(0, '127.0.0.1')
  await once(front, 'listening')
  t.teardown(() => front.close())
  const Client = makeGenericClientConstructor(SERVICE, 'Echo')
  const { port } = front.address() as AddressInfo
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure())
  t.teardown(() => client.close())
  return client
}

type Unary = (
  request: string,
  metadata: Metadata,
  done: (error: ServiceError | null, value?: string) => void,
) => NodeJS.EventEmitter

function call(
  client: Echo,
  name: string,
  metadata = new Metadata(),
): Promise<{ value: string; trailers: Metadata }> {
  return new Promise((resolve, reject) => {
    let value = ''
    const method = client[name] as Unary
    const stream = method.call(client, 'hello', metadata, (error, answer) => {
      if (error !== null) reject(error)
      value = answer ?? ''
    })
    stream.on('status', (status: { metadata: Metadata }) =>
      setImmediate(() => resolve({ value, trailers: status.metadata })),
    )
  })
}

t.test('unary, with metadata and trailers', async (t) => {
  const mesh = engine(t, targetOf(await grpcServer(t), 'http2'))
  const client = await grpcClient(t, mesh)
  const metadata = new Metadata()
  metadata.set('x-meta', 'yes')
  const { value, trailers } = await call(client, 'unary', metadata)
  t.equal(value, 'unary hello')
  t.same(trailers.get('x-trailer'), ['yes'])
  t.match(await mesh.nextResult(), { status: 200, grpcStatus: 0, flags: [] })
})

t.test('a failure keeps its status and text', async (t) => {
  const mesh = engine(t, targetOf(await grpcServer(t), 'http2'))
  const client = await grpcClient(t, mesh)
  await t.rejects(call(client, 'fails'), { code: 9, details: 'not now' })
  t.match(await mesh.nextResult(), { status: 200, grpcStatus: 9 })
})

t.test('a stream of answers', async (t) => {
  const mesh = engine(t, targetOf(await grpcServer(t), 'http2'))
  const client = await grpcClient(t, mesh)
  const many = client['many'] as (request: string) => ClientReadableStream<string>
  const values: string[] = []
  for await (const value of many.call(client, 'no')) values.push(value)
  t.equal(values.length, 100)
  t.equal(values[99], 'no 99')
})

t.test('streams both ways, one message after the other', async (t) => {
  const mesh = engine(t, targetOf(await grpcServer(t), 'http2'))
  const client = await grpcClient(t, mesh)
  const both = client['both'] as () => ClientDuplexStream<string, string>
  const stream = both.call(client)
  for (const word of ['one', 'two', 'three']) {
    stream.write(word)
    const [answer] = await once(stream, 'data')
    t.equal(answer, `<${word}>`)
  }
  const status = once(stream, 'status')
  stream.end()
  stream.resume()
  t.match(await status, [{ code: 0 }])
  t.match(await mesh.nextResult(), { grpcStatus: 0, flags: [] })
})

t.test('answers of our own are gRPC, too', async (t) => {
  const refused = {
    upstreamKey: 'x',
    protocol: 'http2' as const,
    connect: () => Promise.reject(new Error('no')),
  }
  const mesh = engine(t, refused)
  const client = await grpcClient(t, mesh)
  await t.rejects(call(client, 'unary'), { code: 14, details: /the workload cannot be reached/ })
  t.match(await mesh.nextResult(), { status: 200, grpcStatus: 14, flags: ['UF'] })
})
