import '../support/own-namespaces.ts'
import t from 'tap'
import { eastWestBootstrap } from './support/envoy-gateway-config.ts'
import { startInteropLab } from './support/interop-lab.ts'
import { FAR_HOST, seatsMesh } from './support/seats-mesh.ts'
import { dialIn } from './support/sockets.ts'
import { halfCloseSuite, receive, type TunnelEnds, tunnelSuite } from './support/tunnel-suite.ts'

t.setTimeout(120_000)

const CLIENT = 'spiffe://cluster.local/ns/app/sa/client'
const SERVER = 'spiffe://cluster.local/ns/app/sa/server'

t.test('Envoy as an east-west gateway between our client and our server: double HBONE', async (t) => {
  const lab = await startInteropLab(t, seatsMesh())
  const endpoint = lab.address('app/server')
  const services = [`${FAR_HOST}:9000`, `${FAR_HOST}:9003`, 'stranger.app.svc.cluster.local:9000']
  const envoy = await lab.envoy(
    'envoy/eastwest',
    eastWestBootstrap({
      address: lab.address('envoy/eastwest'),
      tls: await lab.credentials({ serviceAccount: 'eastwest' }),
      services: services.map((authority) => ({ authority, endpoint })),
    }),
  )
  const app = lab.app('app/server', 9000)
  const dial = (vip: string, port: number) => dialIn(lab.namespace('app/client'), vip, port)
  const open = async (): Promise<TunnelEnds> => {
    const client = await dial('10.96.0.50', 9000)
    return { client, app: await app.accept() }
  }

  await t.test('allowed: the gateway sees the client outside, the server sees it inside', async (t) => {
    const { client, app: accepted } = await open()
    t.equal(accepted.remoteAddress, lab.address('envoy/eastwest'), 'the inner tunnel comes from the gateway')
    client.end('question')
    t.equal((await receive(accepted)).text, 'question')
    accepted.end('answer')
    t.equal((await receive(client)).text, 'answer')
    const said = await envoy.line('terminate', `authority=${FAR_HOST}:9000`)
    t.match(said, `peer=${CLIENT}`)
    const inbound = await lab.record(({ direction }) => direction === 'inbound', 'server side')
    t.match(inbound, { sourceIdentity: CLIENT, hboneAddress: `${FAR_HOST}:9000` })
    const outbound = await lab.record(({ direction }) => direction === 'outbound', 'client side')
    t.match(outbound, { destination: `${lab.address('envoy/eastwest')}:15008`, destinationIdentity: SERVER })
    t.equal(inbound.traceId, outbound.traceId, 'one trace')
  })

  await tunnelSuite(t, open)
  await halfCloseSuite(t, open)

  await t.test('our server refuses the client within the tunnel', async (t) => {
    const client = await dial('10.96.0.50', 9003)
    client.write('hello')
    t.equal((await receive(client)).bytes, 0)
    await lab.record(({ policy }) => policy === 'app/deny-client-9003', 'denied')
    const refused = await lab.record(
      ({ direction, hboneAddress }) => direction === 'outbound' && hboneAddress === `${FAR_HOST}:9003`,
      'refused',
    )
    t.equal(refused.error, 'http status: 401 Unauthorized')
  })

  await t.test('the gateway does not know the service: 404', async (t) => {
    const client = await dial('10.96.0.52', 9000)
    client.write('hello')
    t.equal((await receive(client)).bytes, 0)
    const refused = await lab.record(
      ({ hboneAddress }) => hboneAddress?.startsWith('unknown.') === true,
      'refused',
    )
    t.equal(refused.error, 'http status: 404 Not Found')
  })

  await t.test('who answers behind the gateway must be who the service says', async (t) => {
    const before = app.connections
    const client = await dial('10.96.0.51', 9000)
    client.write('hello')
    t.equal((await receive(client)).bytes, 0)
    const refused = await lab.record(
      ({ hboneAddress }) => hboneAddress?.startsWith('stranger.') === true,
      'refused',
    )
    t.match(refused.error, /expected SAN/, refused.error ?? '')
    t.equal(app.connections, before)
  })
})
