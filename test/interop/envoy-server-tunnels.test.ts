import '../support/own-namespaces.ts'
import { once } from 'node:events'
import t from 'tap'
import { STREAM_WINDOW_SIZE } from '../../src/hbone/settings.ts'
import { until } from '../support/until.ts'
import { serverBootstrap } from './support/envoy-server-config.ts'
import { ADDRESS, startInteropLab } from './support/interop-lab.ts'
import { dialIn } from './support/sockets.ts'
import {
  lateRequestArrives,
  readLate,
  receive,
  type TunnelEnds,
  tunnelSuite,
} from './support/tunnel-suite.ts'

t.setTimeout(120_000)

const SERVER = ADDRESS['envoy/server']

t.test('Envoy as a sidecar ends the tunnels of our outbound proxy', async (t) => {
  const lab = await startInteropLab(t)
  const envoy = await lab.envoy(
    'envoy/server',
    serverBootstrap({
      addresses: [SERVER],
      tls: await lab.credentials({ serviceAccount: 'server' }),
      ports: [
        { port: 9000 },
        { port: 9001, only: ['spiffe://cluster.local/ns/app/sa/somebody-else'] },
        { port: 9002 },
        { port: 9003, only: ['spiffe://cluster.local/ns/app/sa/client'] },
      ],
    }),
  )
  const app = lab.app('envoy/server', 9000)
  const dial = (port: number) => dialIn(lab.namespace('app/client'), SERVER, port)
  const open = async (): Promise<TunnelEnds> => {
    const client = await dial(9000)
    return { client, app: await app.accept() }
  }

  await t.test('allowed: Envoy sees TLS 1.3 without SNI, our identity and our headers', async (t) => {
    const { client, app: accepted } = await open()
    t.equal(await lab.openConnections('node-a'), 1)
    const from = `${client.localAddress}:${client.localPort}`
    client.end()
    accepted.end()
    await Promise.all([once(client.resume(), 'end'), once(accepted.resume(), 'end')])
    const said = await envoy.line('terminate', `authority=${SERVER}:9000`)
    for (const part of [
      'code=200',
      'peer=spiffe://cluster.local/ns/app/sa/client',
      'tls=TLSv1.3 sni=-',
      'baggage="k8s.cluster.name=Kubernetes,k8s.namespace.name=app,k8s.pod.name=client,',
      `forwarded="for="${from}"`,
    ])
      t.match(said, part)
    t.match(said, /traceparent=00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]/)
    const known = () =>
      lab.mesh.proxyLogs().find(({ source, error }) => source === from && error === undefined)
    await until(() => known() !== undefined, 'the access log')
    t.match(known(), {
      direction: 'outbound',
      destinationIdentity: 'spiffe://cluster.local/ns/envoy/sa/server',
      destinationWorkload: 'envoy/server',
      hboneAddress: `${SERVER}:9000`,
    })
  })

  await tunnelSuite(t, open)

  // envoyproxy/envoy issue 28329 and pull request 47378; here to be noticed when it changes.
  await t.test('the application closes its half first: Envoy ends the other half, too', async (t) => {
    t.notOk(await lateRequestArrives(open), 'RST_STREAM(NO_ERROR) follows END_STREAM')
  })

  await t.test('the application closes first: Envoy drops what our window had no room for', async (t) => {
    const { bytes } = await readLate(open, Buffer.alloc(8 * STREAM_WINDOW_SIZE))
    t.ok(bytes >= STREAM_WINDOW_SIZE, `${bytes} bytes`)
    t.ok(bytes < 8 * STREAM_WINDOW_SIZE, `${bytes} bytes`)
    const reset = 'receive: stream reset by the peer: INTERNAL_ERROR'
    await until(() => lab.mesh.proxyLogs().some(({ error }) => error === reset), 'our access log says so')
  })

  await t.test('RBAC lets our identity in', async (t) => {
    const allowed = lab.app('envoy/server', 9003, t)
    const client = await dial(9003)
    client.end('hello')
    const accepted = await allowed.accept()
    t.equal((await receive(accepted)).text, 'hello')
    accepted.end()
  })

  await t.test('denied by RBAC: 200, and then the end without a byte', async (t) => {
    const forbidden = lab.app('envoy/server', 9001, t)
    const client = await dial(9001)
    client.write('hello')
    t.equal((await receive(client)).bytes, 0)
    // RBAC judges at the first byte, by when Envoy has dialled the application.
    if (forbidden.connections > 0) t.equal((await receive(await forbidden.accept())).bytes, 0)
    t.match(await envoy.line('terminate', `authority=${SERVER}:9001`), 'code=200')
  })

  for (const [port, what] of [
    [9002, 'nobody listens'],
    [9999, 'a port that Envoy does not serve'],
  ] as const) {
    await t.test(`${what}: the connection is closed, the others go on`, async (t) => {
      const other = await open()
      const client = await dial(port)
      client.write('hello')
      t.equal((await receive(client)).bytes, 0)
      t.match(await envoy.line('terminate', `authority=${SERVER}:${port}`), 'code=503')
      const record = () =>
        lab.mesh.proxyLogs().find(({ hboneAddress }) => hboneAddress === `${SERVER}:${port}`)
      await until(() => record() !== undefined, 'the access log')
      t.equal(record()?.error, 'http status: 503 Service Unavailable')
      other.client.end('still here')
      t.equal((await receive(other.app)).text, 'still here')
      other.app.end()
    })
  }

  await t.test('our proxy has let go of everything', async () => {
    await until(async () => (await lab.openConnections('node-a')) === 0, 'no connection is open')
  })

  await t.test('all of it went over one connection', async (t) => {
    t.equal(await envoy.stat('http.connect_terminate.downstream_cx_total'), 1)
  })
})
