import '../support/own-namespaces.ts'
import t from 'tap'
import { until } from '../support/until.ts'
import { badClients } from './support/credentials-suite.ts'
import { mtlsClientBootstrap } from './support/envoy-mtls-client-config.ts'
import { legacyBootstrap } from './support/envoy-server-config.ts'
import { SEATS, startInteropLab } from './support/interop-lab.ts'
import { dialIn } from './support/sockets.ts'
import { halfCloseSuite, receive, tunnelSuite } from './support/tunnel-suite.ts'

t.setTimeout(120_000)

const CLIENT = { namespace: 'legacy', serviceAccount: 'permissive' }
const DENIED = { namespace: 'app', serviceAccount: 'client' }

t.test('the mutual TLS of two sidecars on 15006, with certificates of our CA', async (t) => {
  const lab = await startInteropLab(t, SEATS)
  const [strict, ours] = [lab.address('legacy/strict'), lab.address('envoy/sidecar')]
  const bad = (await badClients(lab, CLIENT)).map((one, index) => ({ ...one, port: 9101 + index }))
  const good = await lab.credentials(CLIENT)
  const denied = await lab.credentials(DENIED)
  await lab.envoy(
    'legacy/permissive',
    mtlsClientBootstrap([
      { port: 9000, to: [strict, 9000], tls: good },
      ...bad.map(({ port, tls }) => ({ port, tls, to: [strict, 9000] as const })),
      { port: 9200, to: [ours, 9002], tls: good },
      { port: 9201, to: [ours, 9001], tls: good },
      { port: 9202, to: [ours, 9001], tls: denied },
    ]),
  )
  const dial = (port = 9000) => dialIn(lab.namespace('legacy/permissive'), '127.0.0.1', port)

  await t.test('STRICT accepts it, knows who it is, and refuses who cannot prove it', async (t) => {
    await lab.redirectInbound('legacy/strict')
    const tls = await lab.credentials({ namespace: 'legacy', serviceAccount: 'strict' })
    const server = { addresses: [strict], ports: [{ port: 9000 }], tls, strict: true }
    const envoy = await lab.envoy('legacy/strict', legacyBootstrap(server))
    const app = lab.app('legacy/strict', 9000)
    const open = async () => ({ client: await dial(), app: await app.accept() })
    await tunnelSuite(t, open)
    await halfCloseSuite(t, open)
    await envoy.line('inbound 9000', 'peer=spiffe://cluster.local/ns/legacy/sa/permissive')
    const served = app.connections
    for (const [index, { port, what }] of bad.entries()) {
      const client = await dial(port)
      client.write('hello')
      t.equal((await receive(client)).bytes, 0, `${what}: refused`)
      const errors = async () =>
        (await envoy.stat('listener.0.0.0.0_15006.ssl.connection_error')) +
        (await envoy.stat('listener.0.0.0.0_15006.ssl.fail_verify_no_cert')) +
        (await envoy.stat('listener.0.0.0.0_15006.ssl.fail_verify_error')) +
        (await envoy.stat('listener.0.0.0.0_15006.ssl.fail_verify_san'))
      await until(async () => (await errors()) > index, `Envoy refuses one ${what}`)
    }
    // Envoy dials the application when the connection comes, not when it is believed.
    for (let i = served; i < app.connections; i++) {
      t.equal((await receive(await app.accept())).bytes, 0, 'no byte for the application')
    }
  })

  await t.test('our own bootstrap: a STRICT port takes it, a policy judges who it is', async (t) => {
    await lab.redirectInbound('envoy/sidecar')
    await lab.envoy('envoy/sidecar', JSON.parse(await lab.bootstrap('envoy/sidecar')))
    for (const [port, app] of [
      [9200, lab.app('envoy/sidecar', 9002)],
      [9201, lab.app('envoy/sidecar', 9001)],
    ] as const) {
      const client = await dial(port)
      client.end('question')
      const accepted = await app.accept()
      t.equal((await receive(accepted)).text, 'question')
      accepted.end('answer')
      t.equal((await receive(client)).text, 'answer')
    }
    const client = await dial(9202)
    client.write('hello')
    t.equal((await receive(client)).bytes, 0, 'denied by envoy/sidecar-deny-9001')
  })
})
