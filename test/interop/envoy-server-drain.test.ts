import '../support/own-namespaces.ts'
import t from 'tap'
import { drains, restarts } from './support/drain-suite.ts'
import { serverBootstrap } from './support/envoy-server-config.ts'
import { ADDRESS, startInteropLab } from './support/interop-lab.ts'
import { openAtOnce } from './support/many-tunnels.ts'
import { dialIn } from './support/sockets.ts'
import { receive } from './support/tunnel-suite.ts'

t.setTimeout(120_000)

const SERVER = ADDRESS['envoy/server']

t.test('Envoy drains or dies under traffic of ours', async (t) => {
  const lab = await startInteropLab(t)
  const app = lab.app('envoy/server', 9000)
  const tls = await lab.credentials({ serviceAccount: 'server' })
  const config = serverBootstrap({ addresses: [SERVER], tls, ports: [{ port: 9000 }] })
  const dial = () => dialIn(lab.namespace('app/client'), SERVER, 9000)
  const start = (argv?: readonly string[]) => lab.envoy('envoy/server', config, argv)
  const restartable = { start, dial, app, downstream: 'http.connect_terminate' }

  await t.test('GOAWAY: no tunnel fails, new ones take a new connection, old ones finish', (t) =>
    drains(t, restartable),
  )

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    await t.test(`${signal} and a new start: open tunnels end, the next ones work`, (t) =>
      restarts(t, restartable, signal),
    )
  }

  await t.test('nobody there: refused at once, and served as soon as somebody is', async (t) => {
    const client = await dial()
    t.equal((await receive(client)).bytes, 0)
    await using _late = await start()
    t.equal(await openAtOnce(20, dial, app), 20)
  })
})
