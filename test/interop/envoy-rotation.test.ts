import '../support/own-namespaces.ts'
import t from 'tap'
import { until } from '../support/until.ts'
import { clientBootstrap } from './support/envoy-client-config.ts'
import { serverBootstrap } from './support/envoy-server-config.ts'
import { ADDRESS, startInteropLab } from './support/interop-lab.ts'
import { openAtOnce } from './support/many-tunnels.ts'
import { dialIn } from './support/sockets.ts'
import { receive } from './support/tunnel-suite.ts'

t.setTimeout(120_000)

/** Of the first certificates; the ones that replace them outlive the test. */
const LIFETIME_S = 10
const LONG_S = 3600
/** Envoy's limit of streams: the next connection shows a certificate again. */
const STREAMS = 100

t.test('Envoy’s own certificate is replaced while it runs, and the first one expires', async (t) => {
  const lab = await startInteropLab(t)
  const client = await lab.watchedCredentials({}, LIFETIME_S)
  const server = await lab.watchedCredentials({ serviceAccount: 'server' }, LIFETIME_S)
  const stale = await lab.credentials({}, LIFETIME_S)
  const issuedAt = performance.now()
  const target = `${ADDRESS['app/server']}:9000`
  await lab.envoy(
    'envoy/client',
    clientBootstrap({
      origins: { watched: { tls: client.tls, unshared: true }, stale: { tls: stale, unshared: true } },
      exits: [
        { port: 9000, target, origin: 'watched' },
        { port: 9001, target, origin: 'stale' },
      ],
    }),
  )
  const addresses = [ADDRESS['envoy/server']]
  await lab.envoy('envoy/server', serverBootstrap({ addresses, tls: server.tls, ports: [{ port: 9000 }] }))
  const ours = lab.app('app/server', 9000)
  const theirs = lab.app('envoy/server', 9000)
  const toUs = (port = 9000) => dialIn(lab.namespace('envoy/client'), '127.0.0.1', port)
  const toEnvoy = () => dialIn(lab.namespace('app/client'), ADDRESS['envoy/server'], 9000)

  const long = [
    { dialled: await toUs(), accepted: await ours.accept() },
    { dialled: await toEnvoy(), accepted: await theirs.accept() },
  ]
  t.equal(await openAtOnce(1, () => toUs(9001), ours), 1, 'the certificate that nobody replaces still holds')
  await client.replace(LONG_S)
  await server.replace(LONG_S)
  await until(() => performance.now() - issuedAt > (LIFETIME_S + 1) * 1000, 'the first certificates expire')

  t.equal(await openAtOnce(3, toUs, ours), 3, 'our server believes Envoy’s new certificate')
  t.equal(await openAtOnce(STREAMS + 1, toEnvoy, theirs), STREAMS + 1, 'our client does on a new connection')
  for (const { dialled, accepted } of long) {
    dialled.end('question')
    t.equal((await receive(accepted)).text, 'question', 'a tunnel from before goes on')
    accepted.end('answer')
    t.equal((await receive(dialled)).text, 'answer', 'both ways')
  }

  const before = ours.connections
  const refused = await toUs(9001)
  refused.write('hello')
  t.equal((await receive(refused)).bytes, 0, 'the expired certificate is refused')
  t.equal(ours.connections, before)
  const expired = await lab.record(
    ({ error }) => error?.includes('certificate is expired') === true,
    'expired',
  )
  t.match(expired.error, /^tls handshake error/)
})
