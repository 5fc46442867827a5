import { join } from 'node:path'
import t from 'tap'
import { CaClient, SvidManager, silentLog, TokenIssuer } from '../identity/index.ts'
import { ManualClock } from '../identity/test-support.ts'
import { AMBIENT_NAMESPACE, pod, testClient, testMesh, until } from './test-support.ts'

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

t.test('an expired token stops renewal, not the certificate in use; a fresh one suffices', async (t) => {
  const mesh = testMesh(t, { 'a.yaml': AMBIENT_NAMESPACE + pod('a') })
  const server = await mesh.start()
  const past = await TokenIssuer.loadOrCreate(join(mesh.certsDir, 'token-key.pem'), {
    now: () => Date.now() - 3_600_000,
  })
  let token = await server.issuer.issueNodeToken({ node: 'node-a', ttlSeconds: 60 })
  const client = new CaClient({
    address: `https://localhost:${server.address.port}`,
    rootCertFile: join(mesh.certsDir, 'root-cert.pem'),
    token: () => token,
    impersonate: true,
    ttlSeconds: 600,
  })
  const clock = new ManualClock()
  const failures: Error[] = []
  const log = {
    ...silentLog,
    warn: (fields: { err?: Error }) => void failures.push(fields.err ?? new Error()),
  }
  const svids = new SvidManager({ fetch: (id, signal) => client.fetch(id, signal), clock, log })
  t.teardown(() => {
    svids.close()
    client.close()
  })
  const id = { trustDomain: 'cluster.local', namespace: 'foo', serviceAccount: 'a' }
  const first = await svids.get(id)

  token = await past.issueNodeToken({ node: 'node-a', ttlSeconds: 60 })
  await clock.advance(301_000)
  await until('the refusal', () => failures.length > 0)
  t.match(
    failures[0]?.message,
    /\(Unauthenticated\): .*the token expired at .*; check the token \(AUTH_TOKEN\)/,
  )
  t.equal(svids.peek(id), first, 'valid to its end')

  token = await server.issuer.issueNodeToken({ node: 'node-a', ttlSeconds: 60 })
  await clock.advance(2_000)
  await until('the renewal', () => svids.peek(id) !== first)
  t.ok(svids.peek(id))
})
