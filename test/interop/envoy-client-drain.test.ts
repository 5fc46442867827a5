import '../support/own-namespaces.ts'
import t from 'tap'
import { startSecondProxy } from '../support/second-proxy.ts'
import { until } from '../support/until.ts'
import { clientBootstrap, originateName } from './support/envoy-client-config.ts'
import { ADDRESS, startInteropLab } from './support/interop-lab.ts'
import { openAtOnce } from './support/many-tunnels.ts'
import { dialIn } from './support/sockets.ts'
import { receive } from './support/tunnel-suite.ts'

t.setTimeout(120_000)

t.test('our proxy drains: Envoy goes on with its successor, over a new connection', async (t) => {
  const lab = await startInteropLab(t, { proxyEnv: { CONNECTION_TERMINATION_DEADLINE: '60s' } })
  const origins = { client: { tls: await lab.credentials() } }
  const exits = [{ port: 9000, target: `${ADDRESS['app/server']}:9000`, origin: 'client' }]
  const envoy = await lab.envoy('envoy/client', clientBootstrap({ origins, exits }))
  const stat = (name: string) => envoy.stat(`cluster.${originateName('client')}.${name}`)
  const app = lab.app('app/server', 9000)
  const dial = () => dialIn(lab.namespace('envoy/client'), '127.0.0.1', 9000)

  const long = await dial()
  const accepted = await app.accept()
  const old = lab.mesh.component('ztunnel@node-b')
  const successor = await startSecondProxy(lab.mesh, 'node-b')
  try {
    let failed = 0
    let rounds = 0
    let drained = false
    // Twenty at a time without a pause, before, while and after the old one says GOAWAY.
    const traffic = (async () => {
      for (let after = 0; after < 10; after += drained ? 1 : 0) {
        failed += 20 - (await openAtOnce(20, dial, app))
        rounds++
      }
    })()
    await until(() => rounds >= 3, 'traffic')
    old.signal('SIGTERM')
    await old.waitForLine((line) => line.includes('shutting down'), 'shut down')
    drained = true
    await traffic
    t.equal(failed, 0, `${rounds * 20} tunnels`)
    t.equal(await stat('upstream_cx_total'), 2, 'one connection to each')
    t.equal(await stat('upstream_cx_close_notify'), 1, 'one GOAWAY')

    t.ok(old.running, 'the old one waits for the long tunnel')
    long.end('question')
    t.equal((await receive(accepted)).text, 'question')
    accepted.end('answer')
    t.equal((await receive(long)).text, 'answer')
    t.same(await old.exited, { code: 0, signal: null })
  } finally {
    await successor.stop()
  }
})
