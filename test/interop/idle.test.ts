import '../support/own-namespaces.ts'
import { setTimeout as pass } from 'node:timers/promises'
import t from 'tap'
import { clientBootstrap, originateName } from './support/envoy-client-config.ts'
import { serverBootstrap } from './support/envoy-server-config.ts'
import { ADDRESS, startInteropLab } from './support/interop-lab.ts'
import { dialIn } from './support/sockets.ts'
import { receive } from './support/tunnel-suite.ts'

/** Longer than PING interval (10 s) and timeout (20 s) of either side together: who answers none is cut by then. */
const IDLE_MS = 32_000
/** Of a route, Envoy's default; it runs from the client's END_STREAM on. */
const ROUTE_TIMEOUT_MS = 15_000

t.setTimeout(120_000)

t.test('time passes, and nothing is sent', async (t) => {
  const lab = await startInteropLab(t)
  const client = await lab.envoy(
    'envoy/client',
    clientBootstrap({
      origins: {
        client: { tls: await lab.credentials(), keepalive: { interval: '1s', timeout: '2s' } },
      },
      exits: [{ port: 9000, target: `${ADDRESS['app/server']}:9000`, origin: 'client' }],
    }),
  )
  const server = await lab.envoy(
    'envoy/server',
    serverBootstrap({
      addresses: [ADDRESS['envoy/server']],
      tls: await lab.credentials({ serviceAccount: 'server' }),
      ports: [{ port: 9000 }],
    }),
  )
  const apps = { ours: lab.app('app/server', 9000), envoys: lab.app('envoy/server', 9000) }
  const fromEnvoy = await dialIn(lab.namespace('envoy/client'), '127.0.0.1', 9000)
  const toEnvoy = await dialIn(lab.namespace('app/client'), ADDRESS['envoy/server'], 9000)
  const [atOurs, atEnvoys] = await Promise.all([apps.ours.accept(), apps.envoys.accept()])

  // A third tunnel, whose client has said all it has to say.
  const waiting = await dialIn(lab.namespace('app/client'), ADDRESS['envoy/server'], 9000)
  const slow = await apps.envoys.accept()
  waiting.end('question')
  await receive(slow)
  const began = performance.now()
  const cutAfter = receive(waiting).then(() => performance.now() - began)

  await pass(IDLE_MS)

  for (const [what, from, to] of [
    ['from Envoy to us', fromEnvoy, atOurs],
    ['from us to Envoy', toEnvoy, atEnvoys],
  ] as const) {
    await t.test(`${what}: the tunnel is still there`, async (t) => {
      from.end('still there?')
      t.equal((await receive(to)).text, 'still there?')
      to.end('yes')
      t.equal((await receive(from)).text, 'yes')
    })
  }

  await t.test('over the connections of the beginning, with no PING unanswered', async (t) => {
    const originate = `cluster.${originateName('client')}`
    t.equal(await client.stat(`${originate}.upstream_cx_total`), 1)
    t.equal(await client.stat(`${originate}.http2.keepalive_timeout`), 0)
    t.equal(await server.stat('http.connect_terminate.downstream_cx_total'), 1)
    t.equal(await server.stat('http2.keepalive_timeout'), 0)
  })

  await t.test(
    '15 s after the half-close of its client Envoy cuts a tunnel that has no answer',
    async (t) => {
      const milliseconds = await cutAfter
      t.ok(milliseconds >= ROUTE_TIMEOUT_MS - 500, `after ${milliseconds} ms`)
      t.ok(milliseconds < ROUTE_TIMEOUT_MS + 5_000, `after ${milliseconds} ms`)
      t.comment(await server.line('terminate', 'code='))
    },
  )
})
