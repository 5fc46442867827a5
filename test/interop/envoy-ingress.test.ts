import '../support/own-namespaces.ts'
import t from 'tap'
import { httpGetIn } from '../../src/lab/http-probe.ts'
import { ingressBootstrap } from './support/envoy-gateway-config.ts'
import { waypointBootstrap } from './support/envoy-waypoint-config.ts'
import { SEATS, startInteropLab } from './support/interop-lab.ts'
import { dialIn } from './support/sockets.ts'
import { halfCloseSuite, readLate, receive, type TunnelEnds, tunnelSuite } from './support/tunnel-suite.ts'

t.setTimeout(120_000)

const VIP = '10.96.0.10'
const INGRESS = 'spiffe://cluster.local/ns/envoy/sa/ingress'
const LARGE = 3 * 1024 * 1024
const WAYPOINT = 'spiffe://cluster.local/ns/envoy/sa/waypoint'

t.test('Envoy as an ingress gateway, itself in no mesh', async (t) => {
  const lab = await startInteropLab(t, SEATS)
  const server = lab.address('app/server')
  const waypoint = `${lab.address('envoy/waypoint')}:15008`
  const envoy = await lab.envoy(
    'envoy/ingress',
    ingressBootstrap({
      address: lab.address('envoy/ingress'),
      tls: await lab.credentials({ serviceAccount: 'ingress' }),
      ports: [
        { port: 80, target: `${server}:8080`, http: true },
        { port: 9000, target: `${server}:9000` },
        { port: 9001, target: `${server}:9001` },
        { port: 8080, target: `${VIP}:80`, waypoint, http: true },
        { port: 9100, target: `${VIP}:9000`, waypoint },
        { port: 9103, target: `${VIP}:9003`, waypoint },
      ],
    }),
  )
  const behind = (port: number, more: object = {}) => ({
    vip: VIP,
    port,
    target: `${server}:${port}`,
    ...more,
  })
  const guard = await lab.envoy(
    'envoy/waypoint',
    waypointBootstrap({
      address: lab.address('envoy/waypoint'),
      tls: await lab.credentials({ serviceAccount: 'waypoint' }),
      services: [
        { vip: VIP, port: 80, target: `${server}:8080`, http: true },
        behind(9000),
        behind(9003, { only: ['spiffe://cluster.local/ns/app/sa/client'] }),
      ],
    }),
  )
  const outside = lab.namespace('outside')
  const ingress = lab.address('envoy/ingress')
  const get = (port: number, path: string) => httpGetIn(outside, port, path, ingress)
  const dial = (port: number) => dialIn(outside, ingress, port)
  const app = lab.app('app/server', 9000)
  const through = (port: number) => async (): Promise<TunnelEnds> => {
    const client = await dial(port)
    return { client, app: await app.accept() }
  }

  await t.test('straight to the pod, past its waypoint: by HBONE, as the gateway', async (t) => {
    const { status, body } = await get(80, '/forbidden')
    t.equal(status, 200, 'the waypoint has no say')
    t.equal(JSON.parse(body).from, ingress, 'the application sees the gateway’s address')
    await tunnelSuite(t, through(9000))
    await halfCloseSuite(t, through(9000))
    const known = await lab.record(({ hboneAddress }) => hboneAddress === `${server}:9000`, 'inbound')
    t.match(known, { sourceIdentity: INGRESS, sourceWorkload: 'envoy/ingress', direction: 'inbound' })
  })

  await t.test('straight: our server refuses the gateway', async (t) => {
    const client = await dial(9001)
    client.write('hello')
    t.equal((await receive(client)).bytes, 0)
    t.match(await lab.record(({ policy }) => policy === 'app/deny-9001', 'denied'), {
      sourceIdentity: INGRESS,
    })
    await envoy.line(`target=${server}:9001`, 'flags=UF')
  })

  await t.test('through the waypoint, which is asked for the service’s address', async (t) => {
    const { status, body } = await get(8080, '/hello')
    t.equal(status, 200)
    const seen = JSON.parse(body)
    t.equal(seen.from, lab.address('envoy/waypoint'))
    t.equal(seen.headers['x-client-identity'], INGRESS)
    t.equal((await get(8080, '/forbidden/fruit')).status, 403)
    await guard.line('path=/forbidden/fruit', 'code=403', `peer=${INGRESS}`)
    await tunnelSuite(t, through(9100), { unread: 0 })
    await guard.line('terminate', `authority=${VIP}:9000`, `peer=${INGRESS}`)
    const known = await lab.record(({ sourceIdentity }) => sourceIdentity === WAYPOINT, 'from the waypoint')
    t.equal(known.hboneAddress, `${server}:9000`)
  })

  await t.test('the application closes first: the gateway drops what its client has not read', async (t) => {
    const { bytes } = await readLate(through(9100), Buffer.alloc(LARGE))
    t.ok(bytes < LARGE, `${bytes} bytes`)
    const all = `up=${LARGE} `
    await envoy.line('originate', `target=${VIP}:9000`, all)
    t.pass('all had arrived from the waypoint, which then reset the tunnel')
  })

  await t.test('through the waypoint, which refuses the gateway', async (t) => {
    // RBAC judges at the first byte, by when Envoy has dialled the application.
    lab.app('app/server', 9003, t)
    const client = await dial(9103)
    client.write('hello')
    t.equal((await receive(client)).bytes, 0)
    await guard.counted('vip_10.96.0.10_9003.rbac.denied', 1)
  })
})
