import t from 'tap'
import { pod, testClient, testMesh, until } from './test-support.ts'

t.test('a stream ends with its token, and goes on with a fresh one', async (t) => {
  const mesh = testMesh(t, { 'a.yaml': pod('a') })
  const server = await mesh.start()
  const lifetimes = [2, 60]
  const { client, store, terminations } = testClient(t, mesh, server.address.port, () =>
    server.issuer.issueNodeToken({ node: 'node-a', ttlSeconds: lifetimes.shift() ?? 60 }),
  )
  client.start()
  await until('the mesh', () => [...store.workloads()].length === 1)
  await until('the end of the first stream', () => terminations.length > 0)
  await until('the second stream', () => client.status().state.kind === 'streaming')
  t.equal(client.status().streams, 2)
  t.same(terminations, ['Error'])
  t.equal(server.status().proxies.length, 1)
})
