import t from 'tap'
import { MeshStore } from '../mesh/index.ts'
import {
  ADDRESS_TYPE,
  AddressHandler,
  AUTHORIZATION_TYPE,
  AuthorizationHandler,
  type ResourceBatch,
  XdsError,
} from '../xds/index.ts'
import type { ProxySync } from './syncz.ts'
import { AMBIENT_NAMESPACE, pod, testClient, testMesh, until } from './test-support.ts'

const nodeToken = { node: 'node-a', ttlSeconds: 60 }

/** Takes everything except one name, until told otherwise. */
class Refusing extends AddressHandler {
  refused = 'Kubernetes//Pod/foo/b'

  override batch(): ResourceBatch {
    const batch = super.batch()
    return {
      ...batch,
      update: (name, bytes) => {
        if (name === this.refused) throw new XdsError('invalid-resource', 'not today')
        batch.update(name, bytes)
      },
    }
  }
}

t.test("the status port tells how each proxy stands, and counts by istiod's names", async (t) => {
  const mesh = testMesh(t, { 'ns.yaml': AMBIENT_NAMESPACE, 'a.yaml': pod('a') })
  const server = await mesh.start({ statusListen: { host: '127.0.0.1', port: 0 } })
  const get = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${server.statusAddress?.port}${path}`)
    return { status: response.status, body: await response.text() }
  }
  const proxies = async () => JSON.parse((await get('/debug/syncz')).body) as ProxySync[]
  const becomes = async (state: string) => {
    const deadline = Date.now() + 10_000
    let last: ProxySync | undefined
    while (Date.now() < deadline) {
      last = (await proxies())[0]
      if (last?.state === state) return last
    }
    throw new Error(`not ${state}: ${JSON.stringify(last)}`)
  }
  t.strictSame(await proxies(), [])
  t.match(await get('/metrics'), { status: 200, body: /^# TYPE pilot_xds gauge$/m })

  const store = new MeshStore()
  const refusing = new Refusing(store)
  const { client } = testClient(t, mesh, server.address.port, () => server.issuer.issueNodeToken(nodeToken), {
    types: [refusing, new AuthorizationHandler(store)],
  })
  client.start()
  await client.synced(ADDRESS_TYPE)
  t.match(await becomes('SYNCED'), {
    proxy: 'ztunnel~127.0.0.1~z.istio-system~istio-system.svc.cluster.local',
    account: 'istio-system/ztunnel',
    node: 'node-a',
    address: '127.0.0.1',
    connectedAt: /^\d{4}-.*Z$/,
    types: [
      { typeUrl: ADDRESS_TYPE, subscribed: 'all', acks: 1, nacks: 0 },
      { typeUrl: AUTHORIZATION_TYPE, subscribed: 'all', acks: 1, nacks: 0 },
    ],
  })

  await mesh.write('b.yaml', pod('b', { ip: '10.0.0.2' }))
  t.match(await becomes('REJECTED'), {
    types: [{ state: 'REJECTED', nacks: 1, lastNack: { reason: 'Kubernetes//Pod/foo/b: not today' } }, {}],
  })
  t.ok(store.workload('Kubernetes//Pod/foo/a'), 'the rest is in force')
  const { body } = await get('/metrics')
  t.match(body, /^pilot_xds\{version="unknown"\} 1$/m)
  t.match(body, /^pilot_total_xds_rejects\{type="wds"\} 1$/m)
  t.match(body, /^pilot_xds_pushes\{type="wds"\} 2$/m)
  t.match(body, /^pilot_xds_pushes\{type="wads"\} 1$/m)
  t.match(body, /^pilot_xds_push_time_count\{type="wds"\} 2$/m)
  t.match(body, /^pilot_proxy_convergence_time_count 1$/m, 'of the change; the first sync was none')

  refusing.refused = ''
  await mesh.write('b.yaml', pod('b', { ip: '10.0.0.3' }))
  t.match(await becomes('SYNCED'), { types: [{ nacks: 1, lastNack: { reason: /not today/ } }, {}] })
  await client.stop()
  await until('the end of the stream', () => server.status().proxies.length === 0)
  t.notMatch((await get('/metrics')).body, /^pilot_xds\{/m)
})

t.test('what is not a page is told which are', async (t) => {
  const mesh = testMesh(t, { 'a.yaml': pod('a') })
  const server = await mesh.start({ statusListen: { host: '127.0.0.1', port: 0 } })
  const url = `http://127.0.0.1:${server.statusAddress?.port}`
  const missing = await fetch(`${url}/debug`)
  t.equal(missing.status, 404)
  t.match(await missing.text(), /\/debug\/syncz/)
  t.equal((await fetch(`${url}/metrics`, { method: 'POST' })).status, 405)
  t.equal((await fetch(`${url}/ready?full`)).status, 200)
})
