import '../support/own-namespaces.ts'
import t from 'tap'
import { until } from '../support/until.ts'
import { legacyBootstrap } from './support/envoy-server-config.ts'
import { SEATS, startInteropLab } from './support/interop-lab.ts'
import { dialIn } from './support/sockets.ts'
import { halfCloseSuite, receive, type TunnelEnds, tunnelSuite } from './support/tunnel-suite.ts'

t.setTimeout(120_000)

t.test('Envoy as a sidecar that knows no HBONE gets plain TCP from us', async (t) => {
  const lab = await startInteropLab(t, SEATS)
  const sidecar = async (name: 'permissive' | 'strict') => {
    const pod = `legacy/${name}`
    await lab.redirectInbound(pod)
    const addresses = [lab.address(pod)]
    const tls = await lab.credentials({ namespace: 'legacy', serviceAccount: name })
    const strict = name === 'strict'
    return lab.envoy(pod, legacyBootstrap({ addresses, tls, ports: [{ port: 9000 }], strict }))
  }
  const [permissive, strict] = [await sidecar('permissive'), await sidecar('strict')]
  const dial = (pod: string) => dialIn(lab.namespace('app/client'), lab.address(pod), 9000)
  const app = lab.app('legacy/permissive', 9000)
  const open = async (): Promise<TunnelEnds> => {
    const client = await dial('legacy/permissive')
    return { client, app: await app.accept() }
  }

  await t.test('permissive: plaintext is served, and our log claims no identity', async (t) => {
    const { client, app: accepted } = await open()
    client.end('question')
    t.equal((await receive(accepted)).text, 'question')
    accepted.end('answer')
    t.equal((await receive(client)).text, 'answer')
    await permissive.line('inbound 9000', 'peer=-')
    const record = await lab.record(({ direction }) => direction === 'outbound', 'outbound')
    t.match(record, { destinationWorkload: 'legacy/permissive', bytesReceived: 6 })
    t.match(
      [record.error, record.destinationIdentity, record.hboneAddress],
      [undefined, undefined, undefined],
    )
  })

  await tunnelSuite(t, open)
  await halfCloseSuite(t, open)

  await t.test('STRICT: Envoy closes, and our log says that mutual TLS is asked for, by what', async (t) => {
    const forbidden = lab.app('legacy/strict', 9000, t)
    const client = await dial('legacy/strict')
    client.write('question')
    t.equal((await receive(client)).bytes, 0)
    t.equal(forbidden.connections, 0)
    await until(
      async () => (await strict.stat('listener.0.0.0.0_15006.no_filter_chain_match')) >= 1,
      'Envoy has no filter chain for plaintext',
    )
    const { error } = await lab.record(
      ({ destinationWorkload }) => destinationWorkload === 'legacy/strict',
      'to the strict one',
    )
    t.match(error, /explicitly denied by: istio-system\/istio_converted_static_strict/, 'what refused')
    t.match(error, /legacy\/strict.*plaintext.*networking\.istio\.io\/tunnel/, 'what to do')
  })
})
