import t from 'tap'
import { TokenIssuer } from '../identity/index.ts'
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from '../xds/index.ts'
import { AMBIENT_NAMESPACE, pod, testClient, testMesh, until } from './test-support.ts'

const POLICY = (name: string) =>
  `---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: ${name}, namespace: foo}\n`
const nodeToken = { node: 'node-a', ttlSeconds: 60 }
const uid = (name: string) => `Kubernetes//Pod/foo/${name}`

t.test('a node proxy gets the mesh and every change to it', async (t) => {
  const mesh = testMesh(t, { 'ns.yaml': AMBIENT_NAMESPACE, 'a.yaml': pod('a'), 'p.yaml': POLICY('p') })
  const server = await mesh.start()
  const { client, store } = testClient(t, mesh, server.address.port, () =>
    server.issuer.issueNodeToken(nodeToken),
  )
  client.start()
  await Promise.all([client.synced(ADDRESS_TYPE), client.synced(AUTHORIZATION_TYPE)])
  t.match(store.workload(uid('a')), { tunnelProtocol: 'HBONE', addresses: ['10.0.0.1'] })
  t.strictSame(
    [...store.policies()].map(({ name }) => name),
    ['p'],
  )
  await mesh.write('b.yaml', pod('b', { ip: '10.0.0.2' }))
  await until('the new pod', () => store.workload(uid('b')) !== undefined)
  await mesh.write('p.yaml', POLICY('q'))
  await until('the renamed policy', () => [...store.policies()].map(({ name }) => name).join() === 'q')
  await until(
    'its acknowledgement',
    () => server.status().proxies[0]?.types.every((type) => !type.awaitingAck) === true,
  )
  t.match(server.status(), {
    ready: true,
    resources: { [ADDRESS_TYPE]: 2, [AUTHORIZATION_TYPE]: 1 },
    proxies: [
      {
        nodeId: /^ztunnel~127/,
        caller: { kind: 'node', node: 'node-a' },
        // Of policies all, then the new name, then without the old one.
        types: [{ nacks: 0 }, { acks: 3 }],
      },
    ],
  })
})

t.test('without a good token there is no mesh, and a good one is picked up', async (t) => {
  const mesh = testMesh(t, { 'a.yaml': pod('a') })
  const server = await mesh.start()
  const past = await TokenIssuer.loadOrCreate(`${mesh.certsDir}/token-key.pem`, {
    now: () => Date.now() - 3_600_000,
  })
  const tokens: (() => Promise<string> | string)[] = [
    () => 'forged',
    () => past.issueNodeToken(nodeToken),
    () => server.issuer.issueNodeToken({ ...nodeToken, node: 'node-b' }),
    () => server.issuer.issueNodeToken(nodeToken),
  ]
  const { client, store, terminations } = testClient(
    t,
    mesh,
    server.address.port,
    () => (tokens.length > 1 ? tokens.shift() : tokens[0])?.() ?? '',
    { sleep: async () => {} },
  )
  client.start()
  await client.synced(ADDRESS_TYPE)
  t.strictSame(terminations, ['Error', 'Error', 'Error'], 'forged, expired, of another node')
  t.ok(store.workload(uid('a')))
})

t.test('without any token there is no mesh', async (t) => {
  const mesh = testMesh(t, { 'a.yaml': pod('a') })
  const server = await mesh.start()
  const { client, terminations } = testClient(t, mesh, server.address.port, () => '', {
    credentials: {},
    sleep: (_ms, signal) => new Promise((_resolve, reject) => signal.addEventListener('abort', reject)),
  })
  client.start()
  await until('the refusal', () => terminations.length > 0)
  t.match(client.status().state, { kind: 'waiting', lastError: /unauthenticated.*no bearer token/ })
  t.strictSame(server.status().proxies, [])
})

t.test('a server that comes back sends only what changed while it was away', async (t) => {
  const mesh = testMesh(t, { 'ns.yaml': AMBIENT_NAMESPACE, 'a.yaml': pod('a'), 'b.yaml': pod('b') })
  const first = await mesh.start()
  const { port } = first.address
  const { client, store, messages } = testClient(t, mesh, port, () => first.issuer.issueNodeToken(nodeToken))
  client.start()
  await Promise.all([client.synced(ADDRESS_TYPE), client.synced(AUTHORIZATION_TYPE)])
  await first.close()
  t.ok(store.workload(uid('a')), 'what was received stays in force')
  await mesh.write('a.yaml', pod('a', { ip: '10.0.0.9' }))
  await mesh.write('b.yaml', pod('c'))
  const received = messages.length
  const one = (messages[0] ?? 0) / 2
  await mesh.start({ listen: { host: '127.0.0.1', port } })
  await until('the changes', () => store.workload(uid('c')) !== undefined)
  t.match(store.workload(uid('a')), { addresses: ['10.0.0.9'] })
  t.equal(store.workload(uid('b')), undefined)
  t.strictSame(messages.slice(received), [0, one * 2], 'no policy; of addresses one changed and one new')
})

t.test('a server that has nothing new to say sends no resources after a reconnect', async (t) => {
  const mesh = testMesh(t, { 'a.yaml': pod('a') })
  const first = await mesh.start()
  const { port } = first.address
  const { client, messages } = testClient(t, mesh, port, () => first.issuer.issueNodeToken(nodeToken))
  client.start()
  await Promise.all([client.synced(ADDRESS_TYPE), client.synced(AUTHORIZATION_TYPE)])
  await first.close()
  const received = messages.length
  await mesh.start({ listen: { host: '127.0.0.1', port } })
  await until('both answers', () => messages.length === received + 2)
  t.strictSame(messages.slice(received), [0, 0])
})
