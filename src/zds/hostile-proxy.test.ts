import { mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tap from 'tap'
import { NetworkNamespace, SeqpacketSocket } from '../linux/index.ts'
import { encodeAck, encodeHello } from './codec.ts'
import type { ZdsError } from './errors.ts'
import { ZdsServer } from './server.ts'

const directory = mkdtempSync(join(tmpdir(), 'zds-hostile-'))

/** What a server says of a connection on which `speak` is all that the proxy does. */
async function verdict(
  t: Pick<typeof tap, 'same'>,
  speak: (socket: SeqpacketSocket) => void | Promise<void>,
): Promise<ZdsError> {
  const path = join(directory, 's.sock')
  const { promise, resolve } = Promise.withResolvers<ZdsError>()
  using server = ZdsServer.listen({ path, answerTimeoutMs: 50, onConnectionError: resolve })
  using socket = await SeqpacketSocket.connect(path)
  await speak(socket)
  const error = await promise
  t.same(server.proxies, [], 'it is disconnected')
  return error
}

const HOSTILE: readonly [string, string, (socket: SeqpacketSocket) => void | Promise<void>][] = [
  ['says nothing', 'timeout', () => undefined],
  ['is of another version', 'unsupported-version', (s) => s.send(Uint8Array.of(8, 9))],
  ['sends garbage', 'malformed-packet', (s) => s.send(Buffer.from('GET / HTTP/1.1'))],
  ['sends too much', 'packet-too-large', (s) => s.send(Buffer.alloc(2000))],
  ['sends a descriptor', 'wrong-descriptors', (s) => s.send(encodeHello(), [0])],
  ['sends many descriptors', 'wrong-descriptors', (s) => s.send(encodeHello(), Array(200).fill(0))],
  ['leaves at once', 'connection-lost', (s) => s.close()],
  [
    'never answers',
    'timeout',
    (s) => {
      s.send(encodeHello())
    },
  ],
  [
    'answers twice',
    'out-of-turn',
    async (s) => {
      s.send(encodeHello())
      await s.receive(1024)
      s.send(encodeAck())
      s.send(encodeAck())
    },
  ],
]

for (const [behaviour, code, speak] of HOSTILE) {
  tap.test(`a proxy that ${behaviour}`, async (t) => {
    const before = readdirSync('/proc/self/fd').length
    t.equal((await verdict(t, speak)).code, code)
    t.equal(readdirSync('/proc/self/fd').length, before, 'no descriptor is left')
  })
}

tap.test('a proxy that goes away fails what waits for it', async (t) => {
  const path = join(directory, 'gone.sock')
  const synced = Promise.withResolvers<void>()
  using server = ZdsServer.listen({ path, onSynced: () => synced.resolve() })
  using netns = NetworkNamespace.current()
  const socket = await SeqpacketSocket.connect(path)
  socket.send(encodeHello())
  await socket.receive(1024)
  socket.send(encodeAck())
  await synced.promise
  const pod = { name: 'n', namespace: 'ns', serviceAccount: 'sa', netns }
  const first = server.add({ ...pod, uid: 'one' })
  const second = server.add({ ...pod, uid: 'two' })
  socket.close()
  await t.rejects(first, { code: 'connection-lost' })
  await t.rejects(second, { code: 'connection-lost' })
  await server.remove('one')
})
