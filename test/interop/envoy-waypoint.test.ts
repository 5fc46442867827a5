import '../support/own-namespaces.ts'
import t from 'tap'
import { waypointBootstrap } from './support/envoy-waypoint-config.ts'
import { SEATS, startInteropLab } from './support/interop-lab.ts'
import { dialIn } from './support/sockets.ts'
import { lateRequestArrives, receive, type TunnelEnds, tunnelSuite } from './support/tunnel-suite.ts'

t.setTimeout(120_000)

const VIP = '10.96.0.10'
const CLIENT = 'spiffe://cluster.local/ns/app/sa/client'
const WAYPOINT = 'spiffe://cluster.local/ns/envoy/sa/waypoint'

t.test('Envoy as a waypoint between two proxies of ours', async (t) => {
  const lab = await startInteropLab(t, SEATS)
  const server = lab.address('app/server')
  const behind = (port: number, more: object = {}) => ({
    vip: VIP,
    port,
    target: `${server}:${port}`,
    ...more,
  })
  const envoy = await lab.envoy(
    'envoy/waypoint',
    waypointBootstrap({
      address: lab.address('envoy/waypoint'),
      tls: await lab.credentials({ serviceAccount: 'waypoint' }),
      services: [
        { vip: VIP, port: 80, target: `${server}:8080`, http: true, only: [CLIENT] },
        behind(9000),
        behind(9001),
        behind(9002),
        behind(9003, { only: ['spiffe://cluster.local/ns/app/sa/somebody-else'] }),
      ],
    }),
  )
  const get = (path: string) =>
    lab.mesh.get('app/client', { to: 'app/server', by: 'service', port: 'http' }, path)
  const dial = (port: number, host = VIP) => dialIn(lab.namespace('app/client'), host, port)
  const app = lab.app('app/server', 9000)
  const open = async (): Promise<TunnelEnds> => {
    const client = await dial(9000)
    return { client, app: await app.accept() }
  }

  await t.test('allowed: the waypoint sees the client, the server sees the waypoint', async (t) => {
    const answer = await get('/hello')
    t.match(answer, { ok: true, status: 200 })
    const body = JSON.parse(answer.body ?? '{}')
    t.equal(body.from, lab.address('envoy/waypoint'), 'the application sees the waypoint’s address')
    t.equal(body.headers['x-client-identity'], CLIENT, 'the waypoint knows who asks')
    const said = await envoy.line('terminate', `authority=${VIP}:80`)
    t.match(said, `peer=${CLIENT}`)
    t.match(said, /forwarded="for="10\.244\.1\.10:\d+";host=server\.app\.svc\.cluster\.local"/)
    const ours = await lab.record(({ direction }) => direction === 'outbound', 'client side')
    t.match(ours, {
      sourceIdentity: CLIENT,
      destination: `${lab.address('envoy/waypoint')}:15008`,
      hboneAddress: `${VIP}:80`,
      destinationIdentity: WAYPOINT,
      destinationWorkload: 'envoy/waypoint',
    })
  })

  await t.test('a path that only HTTP knows is refused by the waypoint: 403', async (t) => {
    t.match(await get('/forbidden/fruit'), { status: 403, body: 'RBAC: access denied' })
    await envoy.line('path=/forbidden/fruit', 'code=403', `peer=${CLIENT}`)
    t.match(await get('/allowed'), { ok: true, status: 200 })
  })

  await tunnelSuite(t, open)

  await t.test('the application closes its half first: Envoy ends the other half, too', async (t) => {
    t.notOk(await lateRequestArrives(open))
  })

  await t.test('the waypoint refuses our client: the connection ends without a byte', async (t) => {
    const forbidden = lab.app('app/server', 9003, t)
    const client = await dial(9003)
    client.write('hello')
    t.equal((await receive(client)).bytes, 0)
    if (forbidden.connections > 0) t.equal((await receive(await forbidden.accept())).bytes, 0)
    await envoy.counted('vip_10.96.0.10_9003.rbac.denied', 1)
  })

  await t.test('our server refuses the waypoint: 401, and the client’s connection ends', async (t) => {
    const forbidden = lab.app('app/server', 9001, t)
    const client = await dial(9001)
    client.write('hello')
    t.equal((await receive(client)).bytes, 0)
    t.equal(forbidden.connections, 0)
    await lab.record(({ policy }) => policy === 'app/deny-9001', 'denied')
    await envoy.line('originate', `target=${server}:9001`, 'flags=UF')
  })

  await t.test('what only the waypoint may reach: through it yes, past it no', async (t) => {
    const guarded = lab.app('app/server', 9002, t)
    const past = await dial(9002, server)
    past.write('hello')
    t.equal((await receive(past)).bytes, 0)
    await lab.record(
      ({ policy, sourceIdentity }) => policy === 'app/waypoint-only' && sourceIdentity === CLIENT,
      'denied',
    )
    const through = await dial(9002)
    through.end('hello')
    const accepted = await guarded.accept()
    t.equal((await receive(accepted)).text, 'hello')
    accepted.end('answer')
    t.equal((await receive(through)).text, 'answer')
  })

  await t.test('a port of the service that the waypoint does not serve ends without a byte', async (t) => {
    const client = await dial(9999)
    client.write('hello')
    t.equal((await receive(client)).bytes, 0)
  })

  await t.test('our server’s side saw the waypoint’s identity', async (t) => {
    // Written when the connection ends that Envoy keeps for its next request.
    const known = await lab.record(
      ({ direction, hboneAddress }) => direction === 'inbound' && hboneAddress === `${server}:8080`,
      'server side',
    )
    t.match(known, { sourceIdentity: WAYPOINT, sourceWorkload: 'envoy/waypoint', error: undefined })
  })
})
