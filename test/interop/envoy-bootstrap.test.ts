import '../support/own-namespaces.ts'
import { once } from 'node:events'
import t from 'tap'
import { applyRedirection } from '../../src/linux/index.ts'
import { SEATS, startInteropLab } from './support/interop-lab.ts'
import { dialIn } from './support/sockets.ts'
import { halfCloseSuite, receive, type TunnelEnds, tunnelSuite } from './support/tunnel-suite.ts'

t.setTimeout(120_000)

const POD = 'envoy/sidecar'
const SIDECAR = 'spiffe://cluster.local/ns/envoy/sa/sidecar'

t.test('ztunnel sidecar bootstrap: Envoy as a pod’s sidecar, from the mesh’s own YAML', async (t) => {
  const lab = await startInteropLab(t, SEATS)
  await t.test('Envoy accepts it, as JSON and as YAML, for pods of every kind', async () => {
    for (const pod of [POD, 'app/server', 'envoy/ingress', 'legacy/strict']) {
      await lab.validate(await lab.bootstrap(pod), 'json')
    }
    await lab.validate(await lab.bootstrap(POD, 'yaml'), 'yaml')
  })

  // Rules before processes, as for any pod.
  await applyRedirection(lab.namespace(POD), {})
  const envoy = await lab.envoy(POD, JSON.parse(await lab.bootstrap(POD)))
  const address = lab.address(POD)
  const app = lab.app(POD, 9000)
  const theirs = lab.app('app/server', 9000)
  const into = (port: number, from = 'app/client') => dialIn(lab.namespace(from), address, port)
  const outOf = (host: string, port: number) => dialIn(lab.namespace(POD), host, port)

  await t.test('in: HBONE of our outbound proxy', async (t) => {
    await tunnelSuite(
      t,
      async (): Promise<TunnelEnds> => ({ client: await into(9000), app: await app.accept() }),
    )
    await envoy.line('terminate', `authority=${address}:9000`, 'peer=spiffe://cluster.local/ns/app/sa/client')
  })

  await t.test(
    'in: the mesh’s policy denies, by who comes and by port: 403, and nobody is dialled',
    async (t) => {
      const forbidden = lab.app(POD, 9001, t)
      const client = await into(9001)
      client.write('hello')
      t.equal((await receive(client)).bytes, 0)
      t.equal(forbidden.connections, 0)
      const record = await lab.record(({ hboneAddress }) => hboneAddress === `${address}:9001`, 'outbound')
      t.equal(record.error, 'http status: 403 Forbidden')
    },
  )

  await t.test('in: plaintext, but not where the mesh asks for mutual TLS', async (t) => {
    const client = await into(9000, 'outside')
    client.write('hello')
    // Not before: a FIN that comes while Envoy looks for a client hello ends the connection.
    const accepted = await app.accept()
    client.end()
    t.equal((await receive(accepted)).text, 'hello')
    accepted.end('answer')
    t.equal((await receive(client)).text, 'answer')
    const deaf = lab.app(POD, 9002, t)
    const refused = await into(9002, 'outside')
    refused.write('hello')
    t.equal((await receive(refused)).bytes, 0)
    await envoy.counted('legacy_deny.rbac.denied', 1)
    if (deaf.connections > 0) t.equal((await receive(await deaf.accept())).bytes, 0)
  })

  await t.test('in: where the mesh asks for mutual TLS, HBONE is that', async (t) => {
    const guarded = lab.app(POD, 9002, t)
    const client = await into(9002)
    client.end('hello')
    const accepted = await guarded.accept()
    t.equal((await receive(accepted)).text, 'hello')
    accepted.end()
  })

  await t.test(
    'in: on 15006 an application that speaks first is heard by whom the policy denies',
    async (t) => {
      // Envoy's RBAC judges a connection at its first byte; here to be noticed when it changes.
      const forbidden = lab.app(POD, 9002, t)
      const client = await into(9002, 'outside')
      const accepted = await forbidden.accept()
      accepted.write('220 ready')
      const [greeting] = await once(client.resume(), 'data')
      t.equal(String(greeting), '220 ready')
      client.write('hello')
      t.equal((await receive(accepted)).bytes, 0, 'it hears nothing of the client')
    },
  )

  await t.test('out: a service of the mesh, by HBONE to its pod', async (t) => {
    const open = async (): Promise<TunnelEnds> => ({
      client: await outOf('10.96.0.10', 9000),
      app: await theirs.accept(),
    })
    await tunnelSuite(t, open)
    await halfCloseSuite(t, open)
    const known = await lab.record(({ sourceIdentity }) => sourceIdentity === SIDECAR, 'inbound')
    t.match(known, { direction: 'inbound', hboneAddress: `${lab.address('app/server')}:9000` })
    t.equal(known.source.split(':')[0], address)
  })

  await t.test('out: a pod by its address, by HBONE as well; the outside plainly', async (t) => {
    const before = await envoy.stat('cluster.connect_originate.upstream_rq_total')
    const client = await outOf(lab.address('app/server'), 9000)
    const accepted = await theirs.accept()
    client.end('hello')
    t.equal((await receive(accepted)).text, 'hello')
    accepted.end()
    t.equal(await envoy.stat('cluster.connect_originate.upstream_rq_total'), before + 1)
    const outside = lab.app('outside', 9100)
    const plain = await outOf(lab.address('outside'), 9100)
    plain.end('hello')
    const met = await outside.accept()
    t.equal((await receive(met)).text, 'hello')
    met.end()
    await envoy.line('outbound passthrough', `host=${lab.address('outside')}:9100`)
  })
})
