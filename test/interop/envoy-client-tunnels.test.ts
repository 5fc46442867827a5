import '../support/own-namespaces.ts'
import { once } from 'node:events'
import t from 'tap'
import { until } from '../support/until.ts'
import { clientBootstrap, originateName } from './support/envoy-client-config.ts'
import { ADDRESS, startInteropLab } from './support/interop-lab.ts'
import { dialIn } from './support/sockets.ts'
import { halfCloseSuite, receive, type TunnelEnds, tunnelSuite } from './support/tunnel-suite.ts'

t.setTimeout(120_000)

const SERVER = ADDRESS['app/server']

t.test('Envoy as a sidecar opens tunnels to a pod of ours', async (t) => {
  const lab = await startInteropLab(t)
  const envoy = await lab.envoy(
    'envoy/client',
    clientBootstrap({
      origins: { client: { tls: await lab.credentials() } },
      exits: [
        { port: 9000, target: `${SERVER}:9000`, origin: 'client' },
        { port: 9001, target: `${SERVER}:9001`, origin: 'client' },
        { port: 9002, target: `${SERVER}:9002`, origin: 'client' },
      ],
    }),
  )
  const app = lab.app('app/server', 9000)
  const dial = (port: number) => dialIn(lab.namespace('envoy/client'), '127.0.0.1', port)
  const open = async (): Promise<TunnelEnds> => {
    const client = await dial(9000)
    return { client, app: await app.accept() }
  }

  await t.test('allowed: the application sees the client at its own address', async (t) => {
    const { client, app: accepted } = await open()
    t.equal(await lab.openConnections('node-b'), 1)
    t.equal(accepted.remoteAddress, ADDRESS['envoy/client'])
    client.end()
    accepted.end()
    await once(client.resume(), 'end')
    const known = () =>
      lab.mesh.proxyLogs().find(({ direction, error }) => direction === 'inbound' && error === undefined)
    accepted.resume()
    await until(() => known() !== undefined, 'the access log')
    t.match(known(), {
      sourceIdentity: 'spiffe://cluster.local/ns/envoy/sa/client',
      sourceWorkload: 'envoy/client',
      destinationWorkload: 'app/server',
      hboneAddress: `${SERVER}:9000`,
    })
  })

  await tunnelSuite(t, open)
  await halfCloseSuite(t, open)

  await t.test(
    'denied by policy: Envoy takes our 401 and closes the connection without a byte',
    async (t) => {
      const forbidden = lab.app('app/server', 9001, t)
      const client = await dial(9001)
      t.equal((await receive(client)).bytes, 0)
      t.equal(forbidden.connections, 0)
      const said = await envoy.line(`target=${SERVER}:9001`)
      t.match(said, 'flags=UF', said)
      const record = lab.mesh.proxyLogs().find(({ hboneAddress }) => hboneAddress === `${SERVER}:9001`)
      t.match(record, { policy: 'app/deny-9001' })
    },
  )

  await t.test('nobody listens: Envoy takes our 503 and closes the connection', async (t) => {
    const client = await dial(9002)
    t.equal((await receive(client)).bytes, 0)
  })

  await t.test('our proxy has let go of everything', async () => {
    await until(async () => (await lab.openConnections('node-b')) === 0, 'no connection is open')
  })

  await t.test('all of it went over one connection', async (t) => {
    t.equal(await envoy.stat(`cluster.${originateName('client')}.upstream_cx_total`), 1)
    t.equal(await envoy.stat(`cluster.${originateName('client')}.upstream_cx_protocol_error`), 0)
  })
})
