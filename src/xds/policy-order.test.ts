// A workload must not be served, however briefly, without a policy that it had
// before a change or has after it. What a client has in force at each moment
// is what it was sent so far.
import { create, type MessageInitShape } from '@bufbuild/protobuf'
import t from 'tap'
import { DeltaDiscoveryRequestSchema, NodeSchema } from '../gen/envoy/service/discovery/v3/discovery_pb.ts'
import type { AuthorizationPolicy, Workload } from '../mesh/model.ts'
import { DeltaSession } from './delta-session.ts'
import { silentLog } from './log.ts'
import { meshResources } from './mesh-resources.ts'
import { ResourceCache } from './resource-cache.ts'
import { policy, workload } from './test-support.ts'
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from './type-urls.ts'

const NODE = create(NodeSchema, { id: 'ztunnel~10.0.0.9~z.istio-system~istio-system.svc.cluster.local' })
const CALLER = {
  id: { trustDomain: 'cluster.local', namespace: 'istio-system', serviceAccount: 'ztunnel' },
}
const selecting = (name: string, fields: Partial<AuthorizationPolicy> = {}) =>
  policy(name, { scope: 'WORKLOAD_SELECTOR', ...fields })
const naming = (...names: string[]) =>
  workload('a', { authorizationPolicies: names.map((name) => `foo/${name}`) })

class Stream {
  readonly cache = new ResourceCache()
  clock = 0
  #session = this.#open()
  #nonces = new Map<string, string>()

  put(workloads: Workload[], policies: AuthorizationPolicy[]): void {
    this.cache.replace(meshResources({ workloads, services: [], policies }))
  }

  send(request: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): void {
    this.#session.receive(create(DeltaDiscoveryRequestSchema, { node: NODE, ...request }))
  }

  /** `policies: +p -q` */
  next(): string | undefined {
    const response = this.#session.next()
    if (response === undefined) return undefined
    this.#nonces.set(response.typeUrl, response.nonce)
    const short = (name: string) => name.replace(/^.*foo\//, '')
    const added = response.resources.map(({ name }) => `+${short(name)}`)
    const removed = response.removedResources.map((name) => `-${short(name)}`)
    const what = response.typeUrl === AUTHORIZATION_TYPE ? 'policies:' : 'addresses:'
    return [what, ...added, ...removed].join(' ')
  }

  ack(typeUrl: string): void {
    this.send({ typeUrl, responseNonce: this.#nonces.get(typeUrl) ?? '' })
  }

  /** Everything until there is nothing left, each acknowledged at once. */
  all(): string[] {
    const sent: string[] = []
    for (let next = this.next(); next !== undefined; next = this.next()) {
      sent.push(next)
      this.ack(next.startsWith('policies') ? AUTHORIZATION_TYPE : ADDRESS_TYPE)
    }
    return sent
  }

  /** Subscribes as a proxy does, addresses first. */
  subscribe(held: { addresses?: Record<string, string>; policies?: Record<string, string> } = {}): void {
    this.send({ typeUrl: ADDRESS_TYPE, initialResourceVersions: held.addresses ?? {} })
    this.send({ typeUrl: AUTHORIZATION_TYPE, initialResourceVersions: held.policies ?? {} })
  }

  #open(): DeltaSession {
    const now = () => this.clock
    return new DeltaSession({
      cache: this.cache,
      caller: CALLER,
      log: silentLog,
      now,
      ackPatienceMs: 30_000,
    })
  }
}

function synced(workloads: Workload[], policies: AuthorizationPolicy[]): Stream {
  const stream = new Stream()
  stream.put(workloads, policies)
  stream.subscribe()
  stream.all()
  return stream
}

t.test('a new policy comes before the workload that names it', async (t) => {
  const s = synced([naming()], [])
  s.put([naming('p')], [selecting('p')])
  t.strictSame(s.all(), ['policies: +p', 'addresses: +a'])
})

t.test('a policy goes only after the workload that named it has another', async (t) => {
  const s = synced([naming('p')], [selecting('p')])
  s.put([naming('q')], [selecting('q')])
  t.strictSame(s.all(), ['policies: +q', 'addresses: +a', 'policies: -p'])
})

t.test('a policy that from now on has to be named applies to all until it is', async (t) => {
  const s = synced([naming()], [policy('p')])
  s.put([naming('p')], [selecting('p')])
  t.strictSame(s.all(), ['addresses: +a', 'policies: +p'])
  s.put([naming()], [policy('p')])
  t.strictSame(s.all(), ['policies: +p', 'addresses: +a'], 'and back')
})

t.test('a workload waits for its policy even if the client is slow to acknowledge another', async (t) => {
  const s = synced([naming()], [])
  s.put([naming()], [selecting('other')])
  t.equal(s.next(), 'policies: +other')
  s.put([naming('p')], [selecting('other'), selecting('p')])
  t.equal(s.next(), undefined)
  s.ack(AUTHORIZATION_TYPE)
  t.strictSame(s.all(), ['policies: +p', 'addresses: +a'])
})

t.test('a client that asks for an address gets the policies first, acknowledged or not', async (t) => {
  const s = new Stream()
  s.put([naming()], [])
  s.send({ typeUrl: ADDRESS_TYPE, resourceNamesSubscribe: ['*'], resourceNamesUnsubscribe: ['*'] })
  s.send({ typeUrl: AUTHORIZATION_TYPE })
  s.all()
  s.put([naming()], [selecting('other')])
  t.equal(s.next(), 'policies: +other')
  s.put([naming('p')], [selecting('other'), selecting('p')])
  s.send({ typeUrl: ADDRESS_TYPE, resourceNamesSubscribe: ['Kubernetes//Pod/foo/a'] })
  t.strictSame([s.next(), s.next()], ['policies: +p', 'addresses: +a'])
})

t.test('a change that comes between the two halves of another holds the second back', async (t) => {
  const s = synced([naming()], [])
  s.put([naming('p')], [selecting('p')])
  t.equal(s.next(), 'policies: +p')
  s.put([naming('q')], [selecting('p'), selecting('q')])
  t.equal(s.next(), undefined, 'the workload names q already')
  s.ack(AUTHORIZATION_TYPE)
  t.strictSame(s.all(), ['policies: +q', 'addresses: +a'])
})

t.test('what went and came back is not taken away', async (t) => {
  const s = synced([naming('p')], [selecting('p')])
  s.put([naming('p')], [selecting('q')])
  t.equal(s.next(), 'policies: +q', 'the removal of p waits for this to be acknowledged')
  s.put([naming('p')], [selecting('q'), selecting('p')])
  s.ack(AUTHORIZATION_TYPE)
  t.strictSame(s.all(), ['policies: +p'])
})

t.test('a proxy that comes back gets its policies before its addresses', async (t) => {
  const s = new Stream()
  s.put([naming('q')], [selecting('q')])
  s.send({ typeUrl: ADDRESS_TYPE, initialResourceVersions: { 'Kubernetes//Pod/foo/a': 'older' } })
  t.equal(s.next(), undefined, 'it has not asked for policies yet')
  s.send({ typeUrl: AUTHORIZATION_TYPE, initialResourceVersions: { 'foo/p': 'x' } })
  t.strictSame(s.all(), ['policies: +q', 'addresses: +a', 'policies: -p'])
})

t.test('nor are policies withdrawn before it has asked for addresses', async (t) => {
  const s = new Stream()
  s.put([naming('q')], [selecting('q')])
  s.send({ typeUrl: AUTHORIZATION_TYPE, initialResourceVersions: { 'foo/p': 'x' } })
  t.equal(s.next(), undefined)
  s.clock = 1000
  t.strictSame(s.all(), ['policies: +q', 'policies: -p'], 'it does not want any')
})
