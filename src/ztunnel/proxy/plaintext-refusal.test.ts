import { createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { listenTcp, received } from '../../hbone/test-support.ts'
import { aMatch, aPolicy, aWorkload } from '../../mesh/test-support.ts'
import { outboundHandler } from './outbound.ts'
import { connectFrom, createProxy, createSvids } from './test-support.ts'

const CLIENT = '127.0.6.1'
const SERVER = '127.0.6.2'
const client = aWorkload({ name: 'client', addresses: [CLIENT] })
const STRICT = aPolicy({
  namespace: 'istio-system',
  name: 'istio_converted_static_strict',
  scope: 'WORKLOAD_SELECTOR',
  action: 'DENY',
  rules: [[[aMatch({ notPrincipals: [{ kind: 'presence' }] })]]],
})

/** What the access log says of a connection to a workload without a tunnel, whose policies are given. */
async function errorOf(
  t: Test,
  authorizationPolicies: readonly string[],
  serve: (socket: Socket) => void,
  play: (socket: Socket) => void,
): Promise<unknown> {
  const proxy = createProxy(t, await createSvids(t), client)
  proxy.mesh.upsertPolicy(STRICT)
  const { port } = await listenTcp(t, serve, SERVER)
  proxy.mesh.upsertWorkload(
    aWorkload({ name: 'sidecar', addresses: [SERVER], tunnelProtocol: 'NONE', authorizationPolicies }),
  )
  const handle = outboundHandler(proxy.deps)
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    socket.on('error', () => {})
    const source = { address: CLIENT, port: socket.remotePort ?? 0 }
    void handle({ socket, source, destination: { address: SERVER, port } })
  })
  t.teardown(() => server.close())
  const listening = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      resolve(typeof address === 'object' ? (address?.port ?? 0) : 0)
    })
  })
  const socket = connectFrom(t, CLIENT, { address: '127.0.0.1', port: listening })
  socket.on('error', () => {})
  play(socket)
  const line = () => proxy.log.find(({ message }) => message === 'connection complete')
  while (line() === undefined) await new Promise(setImmediate)
  return line()?.['error']
}

const STRICT_NAME = 'istio-system/istio_converted_static_strict'
const ask = (socket: Socket): void => void socket.end('hello')
/** The client's half stays open, so that the server is the first to close. */
const wait = (socket: Socket): void => {
  socket.write('hello')
  void received(socket).then(() => socket.end())
}

t.test('a sidecar that takes only mutual TLS closes, or resets: the log names its policy', async (t) => {
  for (const close of [(socket: Socket) => socket.end(), (socket: Socket) => socket.resetAndDestroy()]) {
    const error = await errorOf(
      t,
      [STRICT_NAME],
      (socket) => void socket.once('data', () => close(socket)),
      wait,
    )
    t.match(error, /default\/sidecar has no tunnel, so it got plaintext/)
    t.match(error, new RegExp(`explicitly denied by: ${STRICT_NAME}`))
  }
})

t.test('whoever is answered, closes first, or meets no such policy is not explained away', async (t) => {
  const answer = (socket: Socket): void => void socket.end('answer')
  t.equal(await errorOf(t, [STRICT_NAME], answer, wait), undefined, 'answered')
  const after = (socket: Socket): void => void received(socket).then(() => socket.end())
  t.equal(await errorOf(t, [STRICT_NAME], after, ask), undefined, 'the client closed first')
  const close = (socket: Socket): void => void socket.once('data', () => socket.end())
  t.equal(await errorOf(t, [], close, wait), undefined, 'no policy')
})
