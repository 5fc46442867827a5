import { create, type MessageInitShape } from '@bufbuild/protobuf'
import t from 'tap'
import { DeltaDiscoveryResponseSchema, NodeSchema } from '../gen/envoy/service/discovery/v3/discovery_pb.ts'
import { AddressHandler } from './address-handler.ts'
import { AuthorizationHandler } from './authorization-handler.ts'
import { encodeWorkload } from './encode.ts'
import { hex, RecordingMesh, workload } from './test-support.ts'
import { TypeState } from './type-state.ts'
import { ADDRESS_TYPE, AUTHORIZATION_TYPE } from './type-urls.ts'

const NODE = create(NodeSchema, { id: 'n' })

function resource(
  name: string,
  version = '1',
  value: Uint8Array = encodeWorkload(workload(name, { uid: name })),
) {
  return { name, version, resource: { typeUrl: ADDRESS_TYPE, value: Uint8Array.from(value) } }
}

function response(fields: MessageInitShape<typeof DeltaDiscoveryResponseSchema>) {
  return create(DeltaDiscoveryResponseSchema, { typeUrl: ADDRESS_TYPE, nonce: 'n1', ...fields })
}

t.test(
  'a response is one batch, updates before removals, and is acknowledged with its nonce only',
  async (t) => {
    const mesh = new RecordingMesh()
    const state = new TypeState(new AddressHandler(mesh))
    const ack = await state.receive(
      response({ resources: [resource('a'), resource('b')], removedResources: ['c'] }),
    )
    t.strictSame(
      mesh.batches.map((batch) => batch.map(({ kind }) => kind)),
      [['upsert-workload', 'upsert-workload', 'remove-address']],
    )
    t.match(ack, { typeUrl: ADDRESS_TYPE, responseNonce: 'n1', resourceNamesSubscribe: [] })
    t.equal(ack.errorDetail, undefined)
    await state.synced
  },
)

t.test(
  'the valid part of a response is in force, and the rest is named in the NACK and asked for again',
  async (t) => {
    const mesh = new RecordingMesh()
    const state = new TypeState(new AddressHandler(mesh))
    const nack = await state.receive(
      response({
        resources: [
          resource('good', '7'),
          resource('empty', '1', hex('')),
          { name: 'bare', version: '1' },
          { ...resource('odd'), resource: { typeUrl: 'other', value: hex('') } },
        ],
      }),
    )
    t.match(mesh.batches, [[{ kind: 'upsert-workload' }]])
    t.equal(
      nack.errorDetail?.message,
      `empty: unknown address type; bare: missing resource body; odd: expected a body of type ${ADDRESS_TYPE}, got "other"`,
    )
    t.strictSame(state.initialRequest(NODE).initialResourceVersions, { good: '7' })
    t.match(state.status(), { nacks: 1, rejected: [{ name: 'empty' }, { name: 'bare' }, { name: 'odd' }] })
    await state.receive(
      response({ resources: [resource('empty', '2')], removedResources: ['bare', 'odd', 'good'] }),
    )
    t.match(state.status(), { rejected: [] })
    t.strictSame(state.initialRequest(NODE).initialResourceVersions, { empty: '2' })
  },
)

t.test('a refused workload does not hold up the others, a refused policy does', async (t) => {
  const addresses = new TypeState(new AddressHandler(new RecordingMesh()))
  await addresses.receive(response({ resources: [resource('empty', '1', hex(''))] }))
  t.equal(addresses.isSynced, true)
  const policies = new TypeState(new AuthorizationHandler(new RecordingMesh()))
  const bad = { name: 'p', version: '1', resource: { typeUrl: AUTHORIZATION_TYPE, value: hex('1863') } }
  const nack = await policies.receive(response({ typeUrl: AUTHORIZATION_TYPE, resources: [bad] }))
  t.equal(nack.errorDetail?.message, 'p: unknown enum value 99 for scope')
  t.equal(policies.isSynced, false)
  await policies.receive(response({ typeUrl: AUTHORIZATION_TYPE, removedResources: ['p'] }))
  t.equal(policies.isSynced, true)
})

t.test(
  'on-demand begins with nothing, and a question is answered by a name, an alias or a removal',
  async (t) => {
    const state = new TypeState(new AddressHandler(new RecordingMesh(), { onDemand: true }))
    const first = state.initialRequest(NODE)
    t.match(first, { resourceNamesSubscribe: ['*'], resourceNamesUnsubscribe: ['*'] })
    const answers = ['uid', 'net/10.0.0.1', 'ns/absent'].map((name) => state.names.ask(name, 5000))
    t.strictSame(state.names.takeChanges()?.subscribe, ['uid', 'net/10.0.0.1', 'ns/absent'])
    t.equal(state.names.takeChanges(), undefined, 'each is asked once')
    const again = state.initialRequest(NODE).initialResourceVersions
    t.strictSame(again, { uid: '', 'net/10.0.0.1': '', 'ns/absent': '' }, 'a new stream asks for them again')
    await state.receive(
      response({
        resources: [resource('uid'), { ...resource('other'), aliases: ['net/10.0.0.1'] }],
        removedResources: ['ns/absent'],
      }),
    )
    await Promise.all(answers)
    t.equal(state.isKnown('uid'), true)
    t.equal(state.isKnown('ns/absent'), true, 'what does not exist is remembered')
    t.equal(state.isKnown('ns/other'), false)
  },
)

t.test('a question that is not answered fails in the end', async (t) => {
  // The client's timers keep no process alive; here nothing else does.
  const alive = setInterval(() => {}, 1000)
  t.teardown(() => clearInterval(alive))
  const state = new TypeState(new AddressHandler(new RecordingMesh(), { onDemand: true }))
  await t.rejects(state.names.ask('a', 1), { code: 'demand-timeout', message: /^a: no answer/ })
  const waiting = state.names.ask('b', 5000)
  state.names.close()
  await t.rejects(waiting, { code: 'demand-refused' })
})
