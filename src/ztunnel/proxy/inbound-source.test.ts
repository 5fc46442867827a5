import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { dialHbone } from '../../hbone/index.ts'
import { listenTcp, received } from '../../hbone/test-support.ts'
import { workloadIdentity } from '../../mesh/index.ts'
import { aMatch, aPolicy, aWorkload } from '../../mesh/test-support.ts'
import { hboneHandler } from './inbound-hbone.ts'
import { createProxy, createSvids, serveWorkload } from './test-support.ts'

const CLIENT = '127.0.5.1'
const POD = '127.0.5.2'
const client = aWorkload({ name: 'client', addresses: [CLIENT] })
const pod = aWorkload({ name: 'pod', addresses: [POD] })

/** One tunnel of the client into the pod; returns the last access line of the pod's proxy. */
async function connectWith(t: Test, headers: Record<string, string>, overrides = {}) {
  const svids = await createSvids(t)
  const workload = { ...pod, ...overrides }
  const proxy = createProxy(t, svids, workload)
  const rules = [[[aMatch({ destinationPorts: [9] })]]]
  proxy.mesh.upsertPolicy(aPolicy({ scope: 'NAMESPACE', action: 'DENY', rules }))
  proxy.mesh.upsertWorkload(client)
  const app = await listenTcp(t, (socket) => void received(socket).then((bytes) => socket.end(bytes)), POD)
  const handle = hboneHandler(proxy.deps)
  const inbound = await serveWorkload(t, svids, workload, (request) => void handle(request))
  const connection = await dialHbone({
    socket: connect({ host: POD, port: inbound.port, localAddress: CLIENT, allowHalfOpen: true }),
    svid: await svids.get(workloadIdentity(client)),
    expectedIdentities: ['spiffe://cluster.local/ns/default/sa/pod'],
  })
  t.teardown(() => connection.close())
  const tunnel = await connection.request({ authority: `${POD}:${app.port}`, headers }).catch(() => undefined)
  tunnel?.stream.end('hello')
  if (tunnel !== undefined) await received(tunnel.stream)
  while (!proxy.log.some(({ message }) => message === 'connection complete')) await new Promise(setImmediate)
  return proxy.log.find(({ message }) => message === 'connection complete')
}

const BAGGAGE = 'k8s.namespace.name=remote,k8s.deployment.name=shop,service.name=shop'

t.test(
  'the source is looked up by address, its identity is what it proved, and baggage fills in (5.7)',
  async (t) => {
    const known = await connectWith(t, { baggage: BAGGAGE })
    t.match(known, { 'src.workload': 'client', 'src.namespace': 'default' })
    t.match(known, { 'src.identity': 'spiffe://cluster.local/ns/default/sa/client' })
  },
)

t.test(
  'a source of another network is not looked up here: its baggage says who it is (5.7, surprise 22)',
  async (t) => {
    const remote = await connectWith(t, { baggage: BAGGAGE, 'x-forwarded-network': 'far' })
    t.match(remote, { 'src.workload': 'shop', 'src.namespace': 'remote' })
    t.match(remote, { 'src.identity': 'spiffe://cluster.local/ns/default/sa/client' })
    const same = await connectWith(t, { baggage: BAGGAGE, 'x-forwarded-network': '' })
    t.match(same, { 'src.workload': 'client' }, 'the network is ours, whichever way it is said')
  },
)

t.test('policies see the port that is dialled, not the one that was asked for (5.6)', async (t) => {
  const denied = await connectWith(t, {}, { applicationTunnel: { protocol: 'NONE', port: 9 } })
  t.match(denied, { policy: 'default/policy', error: /explicitly denied by: default\/policy/ })
})
