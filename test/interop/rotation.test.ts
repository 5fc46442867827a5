import '../support/own-namespaces.ts'
import t from 'tap'
import { until } from '../support/until.ts'
import { clientBootstrap } from './support/envoy-client-config.ts'
import type { EnvoyProcess } from './support/envoy-process.ts'
import { serverBootstrap } from './support/envoy-server-config.ts'
import { ADDRESS, startInteropLab } from './support/interop-lab.ts'
import { openAtOnce } from './support/many-tunnels.ts'
import { dialIn, type TestApp } from './support/sockets.ts'
import { receive } from './support/tunnel-suite.ts'

t.setTimeout(120_000)

const LIFETIME_MS = 20_000

t.test('our certificates are replaced and expire; Envoy sees the new ones, open tunnels go on', async (t) => {
  const lab = await startInteropLab(t, { svidTtl: `${LIFETIME_MS / 1000}s` })
  const client = await lab.envoy(
    'envoy/client',
    clientBootstrap({
      // A connection for each tunnel: each shows which certificate we have then.
      origins: { client: { tls: await lab.credentials(), unshared: true } },
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
  const seats: readonly {
    readonly what: string
    readonly envoy: EnvoyProcess
    readonly line: string
    readonly app: TestApp
    readonly dial: () => ReturnType<typeof dialIn>
  }[] = [
    {
      what: 'our server certificate',
      envoy: client,
      line: 'originate',
      app: lab.app('app/server', 9000),
      dial: () => dialIn(lab.namespace('envoy/client'), '127.0.0.1', 9000),
    },
    {
      what: 'our client certificate',
      envoy: server,
      line: 'terminate',
      app: lab.app('envoy/server', 9000),
      dial: () => dialIn(lab.namespace('app/client'), ADDRESS['envoy/server'], 9000),
    },
  ]
  // Both at once: it is the certificates' lifetime that takes long.
  await Promise.all(
    seats.map(async ({ what, envoy, line, app, dial }) => {
      const long = await dial()
      const accepted = await app.accept()
      const began = performance.now()
      /** When the certificates began to be valid that Envoy has seen, in order. */
      const seen = (): readonly string[] => [
        ...new Set(envoy.lines.flatMap((text) => (text.startsWith(line) ? since(text) : []))),
      ]
      let failed = 0
      await until(
        async () => {
          failed += 1 - (await openAtOnce(1, dial, app))
          return seen().length >= 3 && performance.now() - began > LIFETIME_MS + 5_000
        },
        `${what}: three of them seen, the first expired`,
        60_000,
      )
      t.equal(failed, 0, `${what}: no tunnel failed while it was replaced: ${seen().join(' ')}`)
      long.end('question')
      t.equal((await receive(accepted)).text, 'question', `${what}: the first tunnel goes on`)
      accepted.end('answer')
      t.equal((await receive(long)).text, 'answer', `${what}: both ways`)
    }),
  )
})

function since(line: string): readonly string[] {
  return /since=(\S+)/.exec(line)?.slice(1) ?? []
}
