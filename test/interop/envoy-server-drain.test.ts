import '../support/own-namespaces.ts'
import t from 'tap'
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

  await t.test('GOAWAY: no tunnel fails, new ones take a new connection, old ones finish', async (t) => {
    // Says GOAWAY on the next request of each connection, and closes the port after 4 s.
    await using envoy = await lab.envoy('envoy/server', config, [
      ...['--drain-strategy', 'immediate', '--drain-time-s', '4'],
    ])
    const long = await dial()
    const accepted = await app.accept()
    t.equal(await openAtOnce(20, dial, app), 20)
    await envoy.admin('/drain_listeners?graceful', 'POST')
    for (let round = 0; round < 10; round++) t.equal(await openAtOnce(20, dial, app), 20)
    t.ok((await envoy.stat('http.connect_terminate.downstream_cx_total')) > 1, 'more than one connection')
    t.ok((await envoy.stat('http.connect_terminate.downstream_cx_drain_close')) > 0, 'GOAWAY was sent')
    long.end('question')
    t.equal((await receive(accepted)).text, 'question')
    accepted.end('answer')
    t.equal((await receive(long)).text, 'answer')
  })

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    await t.test(`${signal} and a new start: open tunnels end, the next ones work`, async (t) => {
      const first = await lab.envoy('envoy/server', config)
      const open = await Promise.all(Array.from({ length: 20 }, dial))
      for (let i = 0; i < 20; i++) void receive(await app.accept())
      await first.stop(signal)
      for (const client of open) t.equal((await receive(client)).bytes, 0)
      await using _second = await lab.envoy('envoy/server', config)
      t.equal(await openAtOnce(20, dial, app), 20)
    })
  }

  await t.test('nobody there: refused at once, and served as soon as somebody is', async (t) => {
    const client = await dial()
    t.equal((await receive(client)).bytes, 0)
    await using _late = await lab.envoy('envoy/server', config)
    t.equal(await openAtOnce(20, dial, app), 20)
  })
})
