// Our xDS client and a control plane that says things in odd ways: in single
// bytes, in another order, twice, late, wrongly addressed. None may make the
// mesh wrong.
import t, { type Test } from 'tap'
import { ADDRESS, AUTHORIZATION } from '../support/foreign-ztunnel.ts'
import { envelope, type ScriptedCall, ScriptedGrpcServer } from '../support/scripted-grpc-server.ts'
import {
  answer,
  beginning,
  policy,
  resource,
  response,
  scriptedClient,
  workload,
} from '../support/scripted-mesh.ts'
import { lengthField, varintField } from '../support/wire.ts'

/** A workload that no ztunnel takes: LEGACY_ISTIO_MTLS. */
const unusable = (uid: string, version: string) =>
  resource(uid, version, ADDRESS, lengthField(1, Buffer.concat([lengthField(20, uid), varintField(5, 2)])))

t.test('byte by byte', async (t) => {
  const { call, mesh } = await open(t)
  call.data(envelope(response({ nonce: '1', resources: [workload('a', 1), workload('b', 2)] })), 1)
  t.match(await answer(call), { type: ADDRESS, nonce: '1', error: undefined })
  t.strictSame(mesh().workloads, ['a 10.0.0.1', 'b 10.0.0.2'])
})

t.test('many messages in one frame, and empty frames between', async (t) => {
  const { call, mesh } = await open(t)
  const bodies = [1, 2, 3].map((n) => response({ nonce: `${n}`, resources: [workload('a', n)] }))
  call.data(Buffer.alloc(0))
  call.data(Buffer.concat(bodies.map((body) => envelope(body))))
  t.strictSame(
    [await answer(call), await answer(call), await answer(call)].map(({ nonce }) => nonce),
    ['1', '2', '3'],
  )
  t.strictSame(mesh().workloads, ['a 10.0.0.3'], 'the last word counts')
})

t.test('a message that stalls halfway changes nothing until it is whole', async (t) => {
  const { call, mesh } = await open(t)
  call.message(response({ nonce: '1', resources: [workload('a', 1)] }))
  t.match(await answer(call), { nonce: '1' })
  const change = envelope(response({ nonce: '2', resources: [workload('b', 2)], removed: ['a'] }))
  call.data(change.subarray(0, change.length - 1))
  await call.readByClient()
  t.strictSame(mesh().workloads, ['a 10.0.0.1'])
  call.data(change.subarray(change.length - 1))
  t.match(await answer(call), { nonce: '2' })
  t.strictSame(mesh().workloads, ['b 10.0.0.2'])
})

t.test('policies before addresses, and everything twice', async (t) => {
  const { call, mesh, client } = await open(t)
  const both = [
    response({ type: AUTHORIZATION, nonce: 'p', resources: [policy('p'), policy('p')] }),
    response({ nonce: 'a', resources: [workload('a', 1), workload('a', 1)] }),
  ]
  for (const body of [...both, ...both]) call.message(body)
  const answers = [await answer(call), await answer(call), await answer(call), await answer(call)]
  t.strictSame(
    answers.map(({ nonce, error }) => [nonce, error]),
    [
      ['p', undefined],
      ['a', undefined],
      ['p', undefined],
      ['a', undefined],
    ],
  )
  t.strictSame(mesh(), { workloads: ['a 10.0.0.1'], policies: ['p'] })
  t.strictSame(
    client.status().types.map(({ resources }) => resources),
    [1, 1],
  )
})

t.test('removals: of what is unknown, of what the same response brings, of it all twice', async (t) => {
  const { call, mesh } = await open(t)
  call.message(
    response({
      nonce: '1',
      resources: [workload('a', 1), workload('b', 2)],
      removed: ['b', 'nobody', 'foo/', '', '/'],
    }),
  )
  t.match(await answer(call), { nonce: '1', error: undefined })
  t.strictSame(mesh().workloads, ['a 10.0.0.1'], 'removals come after')
  call.message(response({ nonce: '2', removed: ['b', 'b'] }))
  t.match(await answer(call), { nonce: '2', error: undefined })
  t.strictSame(mesh().workloads, ['a 10.0.0.1'])
})

t.test('a type that was not asked for is passed over', async (t) => {
  const { call, mesh } = await open(t)
  const type = 'type.googleapis.com/envoy.config.cluster.v3.Cluster'
  call.message(response({ type, nonce: '1', resources: [workload('a', 1)] }))
  t.match(await answer(call), { type, nonce: '1' })
  call.message(response({ type: '', nonce: '2', resources: [workload('a', 1)] }))
  t.match(await answer(call), { nonce: '2' })
  t.strictSame(mesh().workloads, [])
})

t.test('bodies of another type are refused, and the old ones stay', async (t) => {
  const { call, mesh } = await open(t)
  call.message(response({ nonce: '1', resources: [workload('a', 1), workload('b', 2)] }))
  t.match(await answer(call), { nonce: '1', error: undefined })
  const wrong = [policy('p'), unusable('a', '2'), resource('b', '2', ADDRESS, Buffer.from('0aff', 'hex'))]
  call.message(response({ nonce: '2', resources: [...wrong, workload('c', 3)] }))
  const nack = await answer(call)
  t.equal(nack.nonce, '2')
  for (const name of ['foo/p', 'a', 'b']) t.match(nack.error, `${name}: `, `${name} is named`)
  t.strictSame(mesh().workloads, ['a 10.0.0.1', 'b 10.0.0.2', 'c 10.0.0.3'])
})

t.test('what was refused while an older one is in force is not held for ever', async (t) => {
  const { server, call, mesh } = await open(t)
  call.message(response({ nonce: '1', resources: [workload('a', 1), workload('b', 2)] }))
  await answer(call)
  call.message(response({ nonce: '2', resources: [unusable('a', '2'), unusable('new', '1')] }))
  t.match((await answer(call)).error, 'a: ')
  t.strictSame(mesh().workloads, ['a 10.0.0.1', 'b 10.0.0.2'])
  call.hangUp()

  // Meanwhile it is deleted. Only a client that names it can be told so.
  const next = await server.call()
  const { versions } = (await beginning(next)).addresses
  t.strictSame(versions, { a: '', b: '2' }, 'named without a version: it is sent again or taken away')
  next.headers()
  const removed = Object.keys(versions).filter((name) => name !== 'b')
  next.message(response({ nonce: '3', removed }))
  t.match(await answer(next), { nonce: '3', error: undefined })
  t.strictSame(mesh().workloads, ['b 10.0.0.2'])
})

t.test('nonces of any text come back as they were', async (t) => {
  const { call } = await open(t)
  for (const nonce of ['', 'é\n\0', 'x'.repeat(10_000)]) {
    call.message(response({ nonce }))
    t.equal((await answer(call)).nonce, nonce)
  }
})

/** A client whose stream is open, its first requests taken. */
async function open(t: Test) {
  const server = await ScriptedGrpcServer.open(t)
  const client = scriptedClient(t, server)
  const call: ScriptedCall = await server.call()
  const first = await beginning(call)
  t.match(first, { addresses: { type: ADDRESS, versions: {} }, policies: { type: AUTHORIZATION } })
  call.headers()
  return { server, call, ...client }
}
