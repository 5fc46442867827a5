import '../support/own-namespaces.ts'
import { once } from 'node:events'
import t from 'tap'
import { until } from '../support/until.ts'
import { clientBootstrap, originateName } from './support/envoy-client-config.ts'
import { serverBootstrap } from './support/envoy-server-config.ts'
import { ADDRESS, startInteropLab } from './support/interop-lab.ts'
import { mixedTraffic } from './support/mixed-traffic.ts'
import { dialIn, type TestApp } from './support/sockets.ts'
import type { OpenTunnel } from './support/tunnel-suite.ts'

t.setTimeout(120_000)

const TUNNELS = 800
/** The smallest that HTTP/2 begins with: every tunnel runs dry again and again. */
const STREAM_WINDOW = 65_535

t.test('hundreds of tunnels over narrow windows, aborted at random', async (t) => {
  const lab = await startInteropLab(t)
  const client = await lab.envoy(
    'envoy/client',
    clientBootstrap({
      origins: { client: { tls: await lab.credentials(), streamWindow: STREAM_WINDOW } },
      exits: [{ port: 9000, target: `${ADDRESS['app/server']}:9000`, origin: 'client' }],
    }),
  )
  const server = await lab.envoy(
    'envoy/server',
    serverBootstrap({
      addresses: [ADDRESS['envoy/server']],
      tls: await lab.credentials({ serviceAccount: 'server' }),
      ports: [{ port: 9000 }],
      streamWindow: STREAM_WINDOW,
    }),
  )

  await t.test('from Envoy to us', async (t) => {
    const app = lab.app('app/server', 9000, t)
    const open = paired(app, () => dialIn(lab.namespace('envoy/client'), '127.0.0.1', 9000))
    t.same(await mixedTraffic(TUNNELS, open), { tunnels: TUNNELS, wrong: [] })
    await until(async () => (await lab.openConnections('node-b')) === 0, 'no connection is open')
    const originate = `cluster.${originateName('client')}`
    t.equal(await client.stat(`${originate}.upstream_cx_protocol_error`), 0)
    t.equal(await client.stat(`${originate}.http2.tx_flush_timeout`), 0)
  })

  await t.test('from us to Envoy', async (t) => {
    const app = lab.app('envoy/server', 9000, t)
    const open = paired(app, () => dialIn(lab.namespace('app/client'), ADDRESS['envoy/server'], 9000))
    t.same(await mixedTraffic(TUNNELS, open), { tunnels: TUNNELS, wrong: [] })
    await until(async () => (await lab.openConnections('node-a')) === 0, 'no connection is open')
    t.equal(await server.stat('http.connect_terminate.downstream_cx_protocol_error'), 0)
    t.equal(await server.stat('http.connect_terminate.downstream_cx_total'), 1)
  })
})

/** Which connection is whose is told by a number, the first bytes of each. */
function paired(app: TestApp, dial: () => ReturnType<typeof dialIn>): OpenTunnel {
  const waiting = new Map<string, (socket: Awaited<ReturnType<typeof dialIn>>) => void>()
  let last = 100_000
  const match = async (): Promise<void> => {
    const socket = await app.accept()
    await once(socket, 'readable')
    const number = String(socket.read(6))
    waiting.get(number)?.(socket)
  }
  return async () => {
    const number = String(last++)
    const accepted = new Promise<Awaited<ReturnType<typeof dialIn>>>((resolve) =>
      waiting.set(number, resolve),
    )
    void match()
    const client = await dial()
    client.write(number)
    return { client, app: await accepted }
  }
}
