import '../support/own-namespaces.ts'
import t from 'tap'
import { SANDWICH_PORT, sandwichBootstrap } from './support/envoy-waypoint-config.ts'
import { SEATS, startInteropLab } from './support/interop-lab.ts'
import { dialIn } from './support/sockets.ts'
import { halfCloseSuite, receive, type TunnelEnds, tunnelSuite } from './support/tunnel-suite.ts'

t.setTimeout(120_000)

const VIP = '10.96.0.11'
const CLIENT = 'spiffe://cluster.local/ns/app/sa/client'
const SANDWICH = 'spiffe://cluster.local/ns/envoy/sa/sandwich'

t.test(
  'Envoy as a waypoint behind a proxy of ours, which tells it by PROXY protocol who comes',
  async (t) => {
    const lab = await startInteropLab(t, SEATS)
    const server = lab.address('app/server')
    const waypoint = lab.address('envoy/sandwich')
    const envoy = await lab.envoy(
      'envoy/sandwich',
      sandwichBootstrap([
        { vip: VIP, port: 80, target: `${server}:8080`, http: true, only: [CLIENT] },
        { vip: VIP, port: 9000, target: `${server}:9000`, only: [CLIENT] },
        {
          vip: VIP,
          port: 9001,
          target: `${server}:9000`,
          only: ['spiffe://cluster.local/ns/app/sa/another'],
        },
        { vip: VIP, port: 9002, target: `${server}:9001` },
      ]),
    )
    const get = (path: string) =>
      lab.mesh.get('app/client', { to: 'app/sandwiched', by: 'service', port: 'http' }, path)
    const app = lab.app('app/server', 9000)
    const dial = (port: number) => dialIn(lab.namespace('app/client'), VIP, port)
    const open = async (): Promise<TunnelEnds> => {
      const client = await dial(9000)
      return { client, app: await app.accept() }
    }

    await t.test(
      'allowed: Envoy reads identity, address and destination of the client in the header',
      async (t) => {
        const answer = await get('/hello')
        t.match(answer, { ok: true, status: 200 })
        const body = JSON.parse(answer.body ?? '{}')
        t.equal(body.headers['x-client-identity'], CLIENT)
        t.equal(body.from, waypoint, 'the application sees the waypoint’s address')
      },
    )

    await t.test('a path that only HTTP knows is refused by the waypoint: 403', async (t) => {
      t.match(await get('/forbidden/fruit'), { status: 403, body: 'RBAC: access denied' })
      await envoy.line('path=/forbidden/fruit', 'code=403', `peer=${CLIENT}`)
    })

    await tunnelSuite(t, open)
    await halfCloseSuite(t, open)

    await t.test(
      'Envoy refuses our client for its identity: the connection ends without a byte',
      async (t) => {
        const client = await dial(9001)
        client.write('hello')
        t.equal((await receive(client)).bytes, 0)
        await envoy.counted('vip_10.96.0.11_9001.rbac.denied', 1)
      },
    )

    await t.test('our server refuses the waypoint behind its proxy: 401 on its way out', async (t) => {
      const forbidden = lab.app('app/server', 9001, t)
      const client = await dial(9002)
      client.write('hello')
      t.equal((await receive(client)).bytes, 0, 'the client’s connection ends without a byte')
      t.equal(forbidden.connections, 0)
      const denied = await lab.record(({ policy }) => policy === 'app/deny-9001', 'denied')
      t.match(denied, { direction: 'inbound', sourceIdentity: SANDWICH, hboneAddress: `${server}:9001` })
      const asked = await lab.record(
        (r) => r.direction === 'outbound' && r.hboneAddress === `${server}:9001`,
        'waypoint’s way out',
      )
      t.match(asked, { sourceIdentity: SANDWICH, error: 'http status: 401 Unauthorized' })
    })

    await t.test(
      'our logs: client to waypoint, waypoint to its Envoy, Envoy to server, each with who it is',
      async (t) => {
        await lab.record(
          (r) =>
            r.direction === 'outbound' && r.sourceIdentity === CLIENT && r.destinationIdentity === SANDWICH,
          'client to waypoint',
        )
        const inbound = await lab.record(
          (r) => r.direction === 'inbound' && r.sourceIdentity === CLIENT && r.hboneAddress === `${VIP}:9000`,
          'into the waypoint',
        )
        t.equal(inbound.destination, `${waypoint}:15008`)
        await lab.record(
          (r) =>
            r.direction === 'outbound' &&
            r.sourceIdentity === SANDWICH &&
            r.hboneAddress === `${server}:9000`,
          'waypoint to server',
        )
        await lab.record(
          (r) =>
            r.direction === 'inbound' && r.sourceIdentity === SANDWICH && r.hboneAddress === `${server}:9000`,
          'into the server',
        )
      },
    )

    await t.test('a connection without PROXY protocol is no use', async (t) => {
      const client = await dialIn(lab.namespace('envoy/sandwich'), '127.0.0.1', SANDWICH_PORT)
      client.write('GET / HTTP/1.1\r\nhost: server\r\n\r\n')
      t.equal((await receive(client)).bytes, 0)
    })
  },
)
