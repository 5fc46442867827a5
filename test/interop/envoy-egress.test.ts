import '../support/own-namespaces.ts'
import t from 'tap'
import { waypointBootstrap } from './support/envoy-waypoint-config.ts'
import { SEATS, startInteropLab } from './support/interop-lab.ts'
import { dialIn } from './support/sockets.ts'
import { receive, type TunnelEnds, tunnelSuite } from './support/tunnel-suite.ts'

t.setTimeout(120_000)

/** Of the ServiceEntry. */
const VIP = '10.96.0.200'
const CLIENT = 'spiffe://cluster.local/ns/app/sa/client'

t.test('Envoy as the egress gateway of a captured workload', async (t) => {
  const lab = await startInteropLab(t, SEATS)
  const outside = lab.address('outside')
  const gateway = lab.address('envoy/egress')
  const plain = { vip: VIP, plain: true }
  const envoy = await lab.envoy(
    'envoy/egress',
    waypointBootstrap({
      address: gateway,
      tls: await lab.credentials({ serviceAccount: 'egress' }),
      services: [
        { ...plain, port: 80, target: `${outside}:8000`, http: true, only: [CLIENT] },
        { ...plain, port: 9000, target: `${outside}:9100`, only: [CLIENT] },
        {
          ...plain,
          port: 9001,
          target: `${outside}:9100`,
          only: ['spiffe://cluster.local/ns/app/sa/somebody-else'],
        },
      ],
    }),
  )
  const client = lab.namespace('app/client')
  const get = (path: string) =>
    lab.mesh.connect('app/client', { kind: 'http', host: VIP, port: 80, path, marker: 'egress' })
  const app = lab.app('outside', 9100)
  const open = async (): Promise<TunnelEnds> => {
    const socket = await dialIn(client, VIP, 9000)
    return { client: socket, app: await app.accept() }
  }

  await t.test('the outside is reached from the gateway, which knows who asks', async (t) => {
    const answer = await get('/hello')
    t.match(answer, { ok: true, status: 200 })
    const seen = JSON.parse(answer.body ?? '{}')
    t.equal(seen.from, gateway, 'the server outside sees the gateway’s address')
    t.equal(seen.headers['x-client-identity'], CLIENT)
    const known = await lab.record(({ direction }) => direction === 'outbound', 'client side')
    t.match(known, {
      hboneAddress: `${VIP}:80`,
      destinationWorkload: 'envoy/egress',
      destinationIdentity: 'spiffe://cluster.local/ns/envoy/sa/egress',
    })
  })

  await tunnelSuite(t, open)

  await t.test('the gateway refuses a path, and a client', async (t) => {
    t.match(await get('/forbidden/fruit'), { status: 403 })
    const socket = await dialIn(client, VIP, 9001)
    socket.write('hello')
    t.equal((await receive(socket)).bytes, 0)
    await envoy.counted('vip_10.96.0.200_9001.rbac.denied', 1)
  })

  await t.test('without its gateway the ServiceEntry leads nowhere, least of all past it', async (t) => {
    await envoy.stop()
    const before = app.connections
    const socket = await dialIn(client, VIP, 9000)
    socket.write('hello')
    t.equal((await receive(socket)).bytes, 0)
    t.equal(app.connections, before)
  })
})
