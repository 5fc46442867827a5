import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import t from 'tap'
import { SOL_TCP, TCP_NODELAY, TCP_USER_TIMEOUT } from '../../linux/constants.ts'
import { socketFd } from '../../linux/index.ts'
import { libc } from '../../linux/libc.ts'
import { type CapturedSocket, CaptureListener } from './capture-listener.ts'
import { createSocketFactory } from './socket-factory.ts'
import type { TcpLiveness } from './tcp-liveness.ts'

const LIVENESS: TcpLiveness = {
  keepAlive: { time: 77_000, interval: 5_000, retries: 3 },
  userTimeoutMs: 92_000,
}

/** The kernel's word about a connection: `ss` shows the timer of its keepalive. */
function timers(port: number): string {
  return execFileSync('ss', ['-tnoi', 'state', 'established', `( sport = :${port} or dport = :${port} )`], {
    encoding: 'utf8',
  })
}

function tcpOption(socket: Socket, name: number): number {
  const value = Buffer.alloc(4)
  libc.getsockopt(socketFd(socket) ?? -1, SOL_TCP, name, value, [4])
  return value.readInt32LE()
}

function portOf(server: Server): number {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

t.test(
  'a dialled socket has keepalive and a bound for unacknowledged data (wire/ztunnel 1.10)',
  async (t) => {
    const server = createServer((socket) => socket.resume()).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const sockets = createSocketFactory({
      namespace: undefined,
      mark: undefined,
      reusePort: false,
      liveness: LIVENESS,
    })
    const socket = sockets.connect({ address: '127.0.0.1', port: portOf(server) })
    await once(socket, 'connect')
    t.match(timers(portOf(server)), /keepalive,1min1[0-9]sec/)
    t.equal(tcpOption(socket, TCP_USER_TIMEOUT), 92_000)
    t.equal(tcpOption(socket, TCP_NODELAY), 1)
    socket.destroy()
    server.close()
  },
)

for (const [what, liveness, expected] of [
  ['has keepalive where asked for', LIVENESS, /keepalive,1min1[0-9]sec/],
  ['is left to the kernel where not, as those of HBONE are', undefined, /^(?!.*keepalive)/s],
] as const) {
  t.test(`an accepted socket ${what} (wire/ztunnel 1.9)`, async (t) => {
    const sockets = createSocketFactory({ namespace: undefined, mark: undefined, reusePort: false })
    const accepted = Promise.withResolvers<CapturedSocket>()
    const port = 15_906
    const listener = CaptureListener.create({
      sockets,
      address: '::',
      port,
      transparent: 'never',
      liveness,
      onConnection: accepted.resolve,
      onError: accepted.reject,
    })
    await listener.run()
    const client: Socket = connect(port, '127.0.0.1')
    const { socket } = await accepted.promise
    t.match(timers(port), expected)
    t.equal(tcpOption(socket, TCP_USER_TIMEOUT), liveness?.userTimeoutMs ?? 0)
    t.equal(tcpOption(socket, TCP_NODELAY), 1, 'and waits for no more to send, either way')
    socket.destroy()
    client.destroy()
    listener.close()
  })
}
