import { mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { NetworkNamespace, SeqpacketServer, type SeqpacketSocket } from '../linux/index.ts'
import { ZdsClient } from './client.ts'
import { decodeAck, encodeRequest } from './codec.ts'

const directory = mkdtempSync(join(tmpdir(), 'zds-agent-'))
const ADD = encodeRequest({
  kind: 'add',
  uid: 'u',
  workloadInfo: { name: 'n', namespace: 'ns', serviceAccount: 'sa' },
})
const DEL = encodeRequest({ kind: 'del', uid: 'u' })

async function connected(
  path: string,
): Promise<{ client: ZdsClient; agent: SeqpacketSocket; close(): void }> {
  const server = SeqpacketServer.listen(join(directory, path))
  const client = await ZdsClient.connect(server.path)
  const agent = await server.accept()
  if (agent === undefined) throw new Error('the server is closed')
  const close = () => {
    for (const end of [client, agent, server]) end.close()
  }
  return { client, agent, close }
}

const WRONG: readonly [string, string, (agent: SeqpacketSocket, fd: number) => void][] = [
  ['a pod without a namespace', 'wrong-descriptors', (agent) => agent.send(ADD)],
  ['a pod with two namespaces', 'wrong-descriptors', (agent, fd) => agent.send(ADD, [fd, fd])],
  ['a removal with a namespace', 'wrong-descriptors', (agent, fd) => agent.send(DEL, [fd])],
  ['a flood of descriptors', 'packet-too-large', (agent, fd) => agent.send(ADD, Array(250).fill(fd))],
  ['an oversized packet', 'packet-too-large', (agent, fd) => agent.send(Buffer.alloc(1025), [fd])],
  ['garbage', 'malformed-packet', (agent, fd) => agent.send(Buffer.from('garbage!'), [fd])],
  ['an unknown request', 'malformed-packet', (agent) => agent.send(Buffer.from('3a00', 'hex'))],
  [
    'no workload info',
    'workload-info-missing',
    (agent, fd) => agent.send(Buffer.from('0a030a0175', 'hex'), [fd]),
  ],
]

for (const [index, [what, code, send]] of WRONG.entries()) {
  t.test(`${what} is refused and leaves no descriptor`, async (t) => {
    const { client, agent, close } = await connected(`${index}.sock`)
    using own = NetworkNamespace.current()
    const before = readdirSync('/proc/self/fd').length
    send(agent, own.fd)
    await t.rejects(client.next(), { code })
    t.equal(readdirSync('/proc/self/fd').length, before)
    client.ack('failure to read message')
    t.equal(decodeAck((await agent.receive(1024))?.data ?? new Uint8Array()), 'failure to read message')
    close()
  })
}

t.test('requests and answers alternate', async (t) => {
  const { client, agent, close } = await connected('turns.sock')
  t.throws(() => client.ack(), { code: 'out-of-turn' })
  agent.send(DEL)
  await client.next()
  await t.rejects(client.next(), { code: 'out-of-turn' })
  client.ack()
  const waiting = client.next()
  agent.close()
  t.equal(await waiting, undefined)
  t.throws(() => client.hello(), { code: 'connection-lost' })
  close()
})

t.test('closing ends a pending next', async (t) => {
  const { client, close } = await connected('close.sock')
  const waiting = client.next()
  client.close()
  t.equal(await waiting, undefined)
  close()
})

t.test('a descriptor that is no namespace is let through: it fails that pod alone', async (t) => {
  const { client, agent, close } = await connected('null.sock')
  agent.send(ADD, [0])
  const received = await client.next()
  t.throws(() => received?.netns?.run(() => 1), { code: 'system-call' })
  received?.netns?.close()
  close()
})
