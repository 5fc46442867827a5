import '../support/own-namespaces.ts'
import t from 'tap'
import { badClients, refusesClient } from './support/credentials-suite.ts'
import { clientBootstrap, originateName } from './support/envoy-client-config.ts'
import { ADDRESS, startInteropLab } from './support/interop-lab.ts'
import { dialIn } from './support/sockets.ts'
import { receive } from './support/tunnel-suite.ts'

t.setTimeout(120_000)

t.test('a pod of ours refuses an Envoy that cannot prove to be of the mesh', async (t) => {
  const lab = await startInteropLab(t)
  const bad = (await badClients(lab, {})).map((one, index) => ({ ...one, port: 9001 + index }))
  const target = `${ADDRESS['app/server']}:9000`
  const envoy = await lab.envoy(
    'envoy/client',
    clientBootstrap({
      origins: {
        good: { tls: await lab.credentials() },
        ...Object.fromEntries(bad.map(({ port, tls }) => [String(port), { tls }])),
      },
      exits: [
        { port: 9000, target, origin: 'good' },
        ...bad.map(({ port }) => ({ port, target, origin: String(port) })),
      ],
    }),
  )
  const app = lab.app('app/server', 9000)
  const dial = (port: number) => dialIn(lab.namespace('envoy/client'), '127.0.0.1', port)
  const proxy = lab.mesh.component('ztunnel@node-b')
  const good = await dial(9000)
  const accepted = await app.accept()

  for (const { what, port, reason } of bad) {
    await t.test(`${what}: refused, logged, and no application sees it`, async (t) => {
      await refusesClient(t, { proxy, dial, app }, port, reason)
      t.comment(await envoy.line(`originate ${originateName(String(port))} `))
    })
  }

  await t.test('the tunnel of a good one is not touched', async (t) => {
    good.end('still here')
    t.equal((await receive(accepted)).text, 'still here')
    accepted.end('yes')
    t.equal((await receive(good)).text, 'yes')
  })
})
