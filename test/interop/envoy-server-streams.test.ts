import '../support/own-namespaces.ts'
import t from 'tap'
import { serverBootstrap } from './support/envoy-server-config.ts'
import { ADDRESS, startInteropLab } from './support/interop-lab.ts'
import { openAtOnce } from './support/many-tunnels.ts'
import { dialIn } from './support/sockets.ts'

t.setTimeout(120_000)

const SERVER = ADDRESS['envoy/server']

t.test("our outbound proxy keeps to Envoy's limit of 100 streams", async (t) => {
  const lab = await startInteropLab(t)
  const app = lab.app('envoy/server', 9000)
  const tls = await lab.credentials({ serviceAccount: 'server' })
  const config = serverBootstrap({ addresses: [SERVER], tls, ports: [{ port: 9000 }] })
  const dial = () => dialIn(lab.namespace('app/client'), SERVER, 9000)
  for (const [count, connections] of [
    [100, 1],
    [101, 2],
    [250, 3],
  ] as const) {
    await t.test(`${count} tunnels at once, from nothing: ${connections} connection(s)`, async (t) => {
      await using envoy = await lab.envoy('envoy/server', config)
      let active = 0
      const answered = await openAtOnce(count, dial, app, async () => {
        active = await envoy.stat('http.connect_terminate.downstream_cx_active')
      })
      t.equal(answered, count)
      t.equal(active, connections)
      t.equal(await envoy.stat('http.connect_terminate.downstream_rq_rx_reset'), 0)
      t.equal(await openAtOnce(count, dial, app), count, 'and again')
      t.equal(await envoy.stat('http.connect_terminate.downstream_cx_total'), connections)
    })
  }
})
