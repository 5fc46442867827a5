import '../support/own-namespaces.ts'
import t from 'tap'
import { serverBootstrap } from './support/envoy-server-config.ts'
import { ADDRESS, startInteropLab } from './support/interop-lab.ts'
import { dialIn } from './support/sockets.ts'
import { streamsToEnvoy } from './support/streams-suite.ts'

t.setTimeout(120_000)

const SERVER = ADDRESS['envoy/server']

t.test("our outbound proxy keeps to Envoy's limit of 100 streams", async (t) => {
  const lab = await startInteropLab(t)
  const tls = await lab.credentials({ serviceAccount: 'server' })
  const config = serverBootstrap({ addresses: [SERVER], tls, ports: [{ port: 9000 }] })
  const seat = {
    start: () => lab.envoy('envoy/server', config),
    dial: () => dialIn(lab.namespace('app/client'), SERVER, 9000),
    app: lab.app('envoy/server', 9000),
    downstream: 'http.connect_terminate',
  }
  for (const [count, connections] of [
    [100, 1],
    [101, 2],
    [250, 3],
  ] as const) {
    await t.test(`${count} tunnels at once, from nothing: ${connections} connection(s)`, async (t) => {
      await using _envoy = await streamsToEnvoy(t, seat, count, connections)
    })
  }
})
