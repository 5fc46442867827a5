import '../support/own-namespaces.ts'
import t from 'tap'
import { clientBootstrap } from './support/envoy-client-config.ts'
import { serverBootstrap } from './support/envoy-server-config.ts'
import { DUAL_STACK, startInteropLab } from './support/interop-lab.ts'
import { dialIn } from './support/sockets.ts'
import { halfCloseSuite, receive, type TunnelEnds, tunnelSuite } from './support/tunnel-suite.ts'

t.setTimeout(120_000)

t.test('IPv6: Envoy as client and as server of tunnels', async (t) => {
  const lab = await startInteropLab(t, DUAL_STACK)
  const [ours, theirs] = [lab.address('app/server', 6), lab.address('envoy/server', 6)]

  await t.test('Envoy as the client of our 15008', async (t) => {
    const envoy = await lab.envoy(
      'envoy/client',
      clientBootstrap({
        origins: { client: { tls: await lab.credentials() } },
        exits: [9000, 9001].map((port) => ({ port, target: `[${ours}]:${port}`, origin: 'client' })),
      }),
    )
    const app = lab.app('app/server', 9000, t, 6)
    const dial = (port: number) => dialIn(lab.namespace('envoy/client'), '127.0.0.1', port)
    await tunnelSuite(t, async (): Promise<TunnelEnds> => {
      const client = await dial(9000)
      const accepted = await app.accept()
      if (accepted.remoteAddress !== lab.address('envoy/client', 6)) t.fail('the client’s own address')
      return { client, app: accepted }
    })
    await halfCloseSuite(t, async () => ({ client: await dial(9000), app: await app.accept() }))
    const record = await lab.record(({ direction }) => direction === 'inbound', 'inbound')
    t.match(record, {
      hboneAddress: `[${ours}]:9000`,
      destination: `[${ours}]:15008`,
      sourceWorkload: 'envoy/client',
      sourceIdentity: 'spiffe://cluster.local/ns/envoy/sa/client',
    })
    const denied = await dial(9001)
    t.equal((await receive(denied)).bytes, 0, 'denied by its address block')
    await envoy.line(`target=[${ours}]:9001`, 'flags=UF')
    await lab.record(({ policy }) => policy === 'app/deny-9001', 'denied')
  })

  await t.test('Envoy as the server of our outbound proxy', async (t) => {
    const envoy = await lab.envoy(
      'envoy/server',
      serverBootstrap({
        addresses: [theirs, lab.address('envoy/server')],
        tls: await lab.credentials({ serviceAccount: 'server' }),
        ports: [{ port: 9000 }, { port: 9001, only: ['spiffe://cluster.local/ns/app/sa/another'] }],
      }),
    )
    const app = lab.app('envoy/server', 9000, t, 6)
    const dial = (port: number) => dialIn(lab.namespace('app/client'), theirs, port)
    await tunnelSuite(t, async () => ({ client: await dial(9000), app: await app.accept() }))
    const said = await envoy.line('terminate', `authority=[${theirs}]:9000`)
    t.match(said, 'peer=spiffe://cluster.local/ns/app/sa/client')
    t.match(said, `forwarded="for="[${lab.address('app/client', 6)}]:`)
    // RBAC judges at the first byte, by when Envoy has dialled the application.
    lab.app('envoy/server', 9001, t, 6)
    const refused = await dial(9001)
    refused.write('hello')
    t.equal((await receive(refused)).bytes, 0, 'refused by Envoy')
    await envoy.counted('inbound_9001.rbac.denied', 1)
  })
})
