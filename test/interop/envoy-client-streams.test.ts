import '../support/own-namespaces.ts'
import t from 'tap'
import { clientBootstrap, originateName } from './support/envoy-client-config.ts'
import { ADDRESS, startInteropLab } from './support/interop-lab.ts'
import { openAtOnce } from './support/many-tunnels.ts'
import { dialIn } from './support/sockets.ts'
import { streamsToUs } from './support/streams-suite.ts'

t.setTimeout(120_000)

t.test('Envoy holds many tunnels to one pod of ours at once', async (t) => {
  const lab = await startInteropLab(t)
  const app = lab.app('app/server', 9000)
  for (const [count, connections] of [
    [100, 1],
    [101, 1],
    [200, 1],
    [201, 2],
  ] as const) {
    await t.test(`${count} tunnels at once: ${connections} connection(s)`, async (t) => {
      const origins = { client: { tls: await lab.credentials() } }
      const exits = [{ port: 9000, target: `${ADDRESS['app/server']}:9000`, origin: 'client' }]
      const config = clientBootstrap({ origins, exits })
      await streamsToUs(
        t,
        {
          start: () => lab.envoy('envoy/client', config),
          dial: () => dialIn(lab.namespace('envoy/client'), '127.0.0.1', 9000),
          app,
          upstream: originateName('client'),
        },
        count,
        connections,
      )
    })
  }

  // Over how many connections is Envoy's choice, up to one for each. Not more
  // than our limit: what it sends on a connection before it knows the limit is
  // refused above it, and Envoy does not try again.
  await t.test('200 tunnels at once, from nothing: each has its answer', async (t) => {
    const origins = { client: { tls: await lab.credentials() } }
    const exits = [{ port: 9000, target: `${ADDRESS['app/server']}:9000`, origin: 'client' }]
    await using envoy = await lab.envoy('envoy/client', clientBootstrap({ origins, exits }))
    const dial = () => dialIn(lab.namespace('envoy/client'), '127.0.0.1', 9000)
    t.equal(await openAtOnce(200, dial, app), 200)
    t.comment(`${await envoy.stat(`cluster.${originateName('client')}.upstream_cx_total`)} connections`)
  })
})
