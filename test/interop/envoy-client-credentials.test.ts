import '../support/own-namespaces.ts'
import t from 'tap'
import { until } from '../support/until.ts'
import { clientBootstrap, originateName } from './support/envoy-client-config.ts'
import { ADDRESS, startInteropLab } from './support/interop-lab.ts'
import { dialIn } from './support/sockets.ts'
import { receive } from './support/tunnel-suite.ts'

t.setTimeout(120_000)

const SERVER = ADDRESS['app/server']

t.test('a pod of ours refuses an Envoy that cannot prove to be of the mesh', async (t) => {
  const lab = await startInteropLab(t)
  const { roots } = await lab.credentials()
  const envoy = await lab.envoy(
    'envoy/client',
    clientBootstrap({
      origins: {
        good: { tls: await lab.credentials() },
        foreign: { tls: await lab.credentials({ trustDomain: 'elsewhere.example' }) },
        rogue: { tls: await lab.rogueCredentials() },
        none: { tls: { roots } },
      },
      exits: [
        { port: 9000, target: `${SERVER}:9000`, origin: 'good' },
        { port: 9001, target: `${SERVER}:9000`, origin: 'foreign' },
        { port: 9002, target: `${SERVER}:9000`, origin: 'rogue' },
        { port: 9003, target: `${SERVER}:9000`, origin: 'none' },
      ],
    }),
  )
  const app = lab.app('app/server', 9000)
  const dial = (port: number) => dialIn(lab.namespace('envoy/client'), '127.0.0.1', port)
  const proxy = lab.mesh.component('ztunnel@node-b')
  const good = await dial(9000)
  const accepted = await app.accept()

  for (const [port, origin, what, reason] of [
    [9001, 'foreign', 'of a foreign trust domain', 'did not present the expected trustdomain'],
    [9002, 'rogue', 'of a root that we do not know', 'not signed by a root that this workload trusts'],
    [9003, 'none', 'without a certificate', 'peer did not return a certificate'],
  ] as const) {
    await t.test(`${what}: refused, logged, and no application sees it`, async (t) => {
      const client = await dial(port)
      client.write('hello')
      t.equal((await receive(client)).bytes, 0)
      t.equal(app.connections, 1)
      t.comment(await envoy.line(`originate ${originateName(origin)} `))
      const logged = () => proxy.tail.some((line) => line.includes(reason))
      await until(logged, `our log: ${reason}; ${proxy.tail.slice(-3).join('\n')}`)
    })
  }

  await t.test('the tunnel of a good one is not touched', async (t) => {
    good.end('still here')
    t.equal((await receive(accepted)).text, 'still here')
    accepted.end('yes')
    t.equal((await receive(good)).text, 'yes')
  })
})
