import t from 'tap'
import { silentLog } from '../identity/index.ts'
import { ADDRESS_TYPE } from '../xds/index.ts'
import { AMBIENT_NAMESPACE, caClient, pod, testMesh, until } from './test-support.ts'

const id = (serviceAccount: string) => ({ trustDomain: 'cluster.local', namespace: 'foo', serviceAccount })

t.test('a node gets certificates for the captured workloads on it, and for no others', async (t) => {
  const outside = pod('outside').replace(
    'namespace: foo}',
    'namespace: foo, labels: {istio.io/dataplane-mode: none}}',
  )
  const ended = pod('ended').replace('status: {', 'status: {phase: Failed, ')
  const mesh = testMesh(t, {
    'mesh.yaml': AMBIENT_NAMESPACE + pod('here') + pod('there', { node: 'node-b' }) + outside + ended,
  })
  const server = await mesh.start()
  const node = (name: string) => () => server.issuer.issueNodeToken({ node: name, ttlSeconds: 60 })
  const client = caClient(t, mesh, server, node('node-a'))
  t.match(await client.fetch(id('here')), { id: id('here') })
  await t.rejects(client.fetch(id('there')), { message: /runs on node node-a/ })
  await t.rejects(client.fetch(id('outside')), { message: /no captured workload/ })
  await t.rejects(client.fetch(id('ended')), { message: /no captured workload/ })
  t.match(await caClient(t, mesh, server, node('node-b')).fetch(id('there')), { id: id('there') })
  await mesh.write('mesh.yaml', AMBIENT_NAMESPACE + pod('here', { node: 'node-b' }))
  await until('the move', () => server.status().resources[ADDRESS_TYPE] === 1)
  await t.rejects(client.fetch(id('here')), { message: /no captured workload/ }, 'the right goes with it')
})

t.test('a workload gets its own identity only', async (t) => {
  const mesh = testMesh(t, { 'mesh.yaml': AMBIENT_NAMESPACE + pod('a') + pod('b', { ip: '10.0.0.2' }) })
  const server = await mesh.start()
  const token = () =>
    server.issuer.issueWorkloadToken({ namespace: 'foo', serviceAccount: 'a', ttlSeconds: 60 })
  t.match(await caClient(t, mesh, server, token, false).fetch(id('a')), { id: id('a') })
  await t.rejects(caClient(t, mesh, server, token).fetch(id('b')), { message: /its own identity only/ })
})

t.test('every refusal is logged with who asked and what for', async (t) => {
  const mesh = testMesh(t, { 'mesh.yaml': AMBIENT_NAMESPACE + pod('a') + pod('b', { node: 'node-b' }) })
  const refusals: object[] = []
  const log = { ...silentLog, warn: (fields: object) => void refusals.push(fields) }
  const server = await mesh.start({ log })
  const node = caClient(t, mesh, server, () =>
    server.issuer.issueNodeToken({ node: 'node-a', ttlSeconds: 60 }),
  )
  const workload = caClient(t, mesh, server, () =>
    server.issuer.issueWorkloadToken({ namespace: 'foo', serviceAccount: 'a', ttlSeconds: 60 }),
  )
  const stranger = caClient(t, mesh, server, async () => 'forged')
  await t.rejects(node.fetch(id('b')))
  await t.rejects(workload.fetch(id('b')))
  await t.rejects(stranger.fetch(id('b')))
  const requested = 'spiffe://cluster.local/ns/foo/sa/b'
  t.match(refusals, [
    { caller: 'node node-a', requested, reason: /foo\/b runs on node node-a/ },
    { caller: 'spiffe://cluster.local/ns/foo/sa/a', requested, reason: /its own identity only/ },
    { requested, err: { code: 'TOKEN_INVALID' } },
  ])
})

t.test('the trust domain of the MeshConfig is that of workloads, tokens and certificates', async (t) => {
  const config = '---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n'
  const mesh = testMesh(t, {
    'mesh.yaml': `${AMBIENT_NAMESPACE}${pod('a')}${config}data: {mesh: "trustDomain: td"}\n`,
  })
  const server = await mesh.start()
  const token = () => server.issuer.issueNodeToken({ node: 'node-a', ttlSeconds: 60 })
  const here = { ...id('a'), trustDomain: 'td' }
  t.match(await caClient(t, mesh, server, token).fetch(here), { id: here })
  await t.rejects(caClient(t, mesh, server, token).fetch(id('a')), { code: 'SIGNING_FAILED' })
})
