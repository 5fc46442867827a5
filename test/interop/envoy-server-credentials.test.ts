import '../support/own-namespaces.ts'
import t from 'tap'
import { until } from '../support/until.ts'
import { serverBootstrap } from './support/envoy-server-config.ts'
import { ADDRESS, startInteropLab } from './support/interop-lab.ts'
import { dialIn } from './support/sockets.ts'
import { receive } from './support/tunnel-suite.ts'

t.setTimeout(120_000)

const SERVER = ADDRESS['envoy/server']

t.test('our outbound proxy believes no Envoy that is not the pod it dialled', async (t) => {
  const lab = await startInteropLab(t)
  const app = lab.app('envoy/server', 9000)
  const server = { serviceAccount: 'server' }
  const rogue = await lab.rogueCredentials(server)
  const good = await lab.credentials(server)
  for (const { what, tls, reason } of [
    {
      what: 'another service account of the mesh',
      tls: await lab.credentials({ serviceAccount: 'impostor' }),
      reason: /identity verification error: peer did not present the expected SAN/,
    },
    {
      what: 'a foreign trust domain',
      tls: await lab.credentials({ ...server, trustDomain: 'elsewhere.example' }),
      reason: /identity verification error: peer did not present the expected SAN/,
    },
    {
      what: 'a root that we do not know',
      tls: rogue,
      reason: /unable to get local issuer certificate|unable to verify|self-signed certificate/,
    },
    {
      what: 'Envoy does not know our root: TLS alert',
      tls: { ...good, roots: rogue.ownRoots },
      reason: /tlsv1 alert unknown ca|peer closed the connection during the handshake/,
    },
  ]) {
    await t.test(`${what}: refused, logged, and no byte is sent`, async (t) => {
      await using envoy = await lab.envoy(
        'envoy/server',
        serverBootstrap({ addresses: [SERVER], tls, ports: [{ port: 9000 }] }),
      )
      const before = lab.mesh.journal.length
      const client = await dialIn(lab.namespace('app/client'), SERVER, 9000)
      client.write('hello')
      t.equal((await receive(client)).bytes, 0)
      t.equal(app.connections, 0)
      t.equal(await envoy.stat('http.connect_terminate.downstream_rq_total'), 0)
      await until(() => lab.mesh.journal.length > before, 'the access log')
      t.match(lab.mesh.journal.since(before)[0]?.error, reason)
    })
  }

  await t.test('the right one is believed right afterwards', async (t) => {
    await lab.envoy(
      'envoy/server',
      serverBootstrap({ addresses: [SERVER], tls: good, ports: [{ port: 9000 }] }),
    )
    const client = await dialIn(lab.namespace('app/client'), SERVER, 9000)
    client.end('hello')
    t.equal((await receive(await app.accept())).text, 'hello')
  })
})
