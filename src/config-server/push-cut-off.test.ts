// A config server that dies in the middle of a push: half of a response must
// change nothing, and all of it must come from the next server.

import { once } from 'node:events'
import { createServer, connect as dial, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from '../xds/index.ts'
import { AMBIENT_NAMESPACE, pod, testClient, testMesh, until } from './test-support.ts'

const PODS = 1_200
const pods = (node: string) =>
  Array.from({ length: PODS }, (_, i) => pod(`p${i}`, { node, ip: `10.1.${i >> 8}.${i & 255}` })).join('')
const policy = (name: string) => `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ${name}, namespace: foo}
spec: {}
`

t.test('a push that breaks off changes nothing, and the next server completes it', async (t) => {
  const mesh = testMesh(t, {
    'ns.yaml': AMBIENT_NAMESPACE,
    'pods.yaml': pods('node-a'),
    'policy.yaml': policy('before'),
  })
  const server = await mesh.start()
  const relay = await startRelay(t, server.address.port)
  const { client, store, terminations } = testClient(t, mesh, relay.port, () =>
    server.issuer.issueNodeToken({ node: 'node-a', ttlSeconds: 60 }),
  )
  client.start()
  await Promise.all([client.synced(ADDRESS_TYPE), client.synced(AUTHORIZATION_TYPE)])
  const where = () => new Set([...store.workloads()].map(({ node }) => node))
  const policies = () => [...store.policies()].map(({ name }) => name)
  t.strictSame([...where()], ['node-a'])

  // Of the next push, some 200 KiB, the client gets a third.
  const cut = relay.cutAfter(64 * 1024)
  await mesh.write('pods.yaml', pods('node-b'))
  await cut
  await until('the end of the stream', () => terminations.length > 0)
  t.strictSame([...where()], ['node-a'], 'nothing of it is in force')
  t.equal(store.workload('Kubernetes//Pod/foo/p0')?.node, 'node-a')
  t.strictSame(policies(), ['before'])

  await server.close()
  await mesh.write('policy.yaml', policy('after'))
  const next = await mesh.start()
  relay.leadTo(next.address.port)
  await until('all of it', () => where().size === 1 && where().has('node-b') && policies().join() === 'after')
  t.equal([...store.workloads()].length, PODS)
})

/** TCP between client and server that can break in the middle of what the server says. */
async function startRelay(t: Test, target: number) {
  let port: number | undefined = target
  let left = Number.POSITIVE_INFINITY
  let isCut = () => {}
  const sockets = new Set<Socket>()
  const listener = createServer((client) => {
    if (port === undefined) return void client.destroy()
    const server = dial(port, '127.0.0.1')
    for (const socket of [client, server]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        server.destroy()
      })
    }
    client.pipe(server)
    server.on('data', (chunk: Buffer) => {
      if (left <= 0) return
      client.write(chunk.subarray(0, left))
      left -= chunk.length
      if (left > 0) return
      port = undefined
      // What was passed on arrives; nothing comes after it.
      client.end(() => {
        for (const socket of sockets) socket.destroy()
        isCut()
      })
    })
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    listener.close()
  })
  const address = listener.address()
  if (typeof address !== 'object' || address === null) throw new Error('not a TCP listener')
  return {
    port: address.port,
    cutAfter(bytes: number): Promise<void> {
      left = bytes
      return new Promise((resolve) => {
        isCut = resolve
      })
    },
    leadTo(next: number): void {
      left = Number.POSITIVE_INFINITY
      port = next
    },
  }
}
