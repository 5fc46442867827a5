import type { MessageInitShape } from '@bufbuild/protobuf'
import { create, toBinary } from '@bufbuild/protobuf'
import t from 'tap'
import { AuthorizationSchema } from '../gen/istio/security/authorization_pb.ts'
import { AddressSchema, type ServiceSchema, type WorkloadSchema } from '../gen/istio/workload/workload_pb.ts'
import { aMatch } from '../mesh/test-support.ts'
import { decodeAddress, decodeAuthorization } from './decode.ts'
import { Interner } from './interner.ts'

const UNKNOWN = 99 as never

t.test('a workload that cannot be used is refused with its reason', async (t) => {
  const cases: readonly [string, MessageInitShape<typeof WorkloadSchema>, RegExp][] = [
    ['bad address', { addresses: [new Uint8Array(5)] }, /failed to parse IP address: 5 bytes/],
    ['legacy tunnel', { tunnelProtocol: 2 }, /LEGACY_ISTIO_MTLS/],
    ['unknown tunnel', { tunnelProtocol: UNKNOWN }, /unknown enum value 99 for tunnel_protocol/],
    ['unknown status', { status: UNKNOWN }, /status/],
    ['unknown type', { workloadType: UNKNOWN }, /workload_type/],
    ['service key', { services: { 'no-slash': {} } }, /service key "no-slash"/],
    ['service key with two slashes', { services: { 'a/b/c': {} } }, /service key "a\/b\/c"/],
    ['waypoint without destination', { waypoint: { hboneMtlsPort: 1 } }, /no destination/],
    ['gateway without destination', { networkGateway: {} }, /no destination/],
    [
      'waypoint with a bad address',
      { waypoint: { destination: { case: 'address', value: { address: new Uint8Array(3) } } } },
      /3 bytes/,
    ],
  ]
  for (const [name, fields, reason] of cases) {
    const bytes = toBinary(
      AddressSchema,
      create(AddressSchema, { type: { case: 'workload', value: fields as never } }),
    )
    t.throws(() => decodeAddress(bytes, new Interner()), { code: 'invalid-resource', message: reason }, name)
  }
})

t.test('a service that cannot be used is refused with its reason', async (t) => {
  const cases: readonly [string, MessageInitShape<typeof ServiceSchema>, RegExp][] = [
    ['bad address', { addresses: [{ address: new Uint8Array(0) } as never] }, /0 bytes/],
    ['bad length', { addresses: [{ address: new Uint8Array(4), length: 33 } as never] }, /prefix length 33/],
    ['unspecified scope', { loadBalancing: { routingPreference: [0] } as never }, /UNSPECIFIED_SCOPE/],
    [
      'weighted waypoint',
      { weightedWaypoints: [{ weight: 1 } as never] },
      /weighted waypoint has no destination/,
    ],
  ]
  for (const [name, fields, reason] of cases) {
    const bytes = toBinary(
      AddressSchema,
      create(AddressSchema, { type: { case: 'service', value: fields as never } }),
    )
    t.throws(() => decodeAddress(bytes, new Interner()), { code: 'invalid-resource', message: reason }, name)
  }
  t.throws(() => decodeAddress(new Uint8Array(), new Interner()), { message: 'unknown address type' })
})

t.test(
  'a policy of an unknown scope or action is refused, odd matches are left out as in ztunnel',
  async (t) => {
    const encode = (fields: MessageInitShape<typeof AuthorizationSchema>) =>
      toBinary(AuthorizationSchema, create(AuthorizationSchema, fields))
    t.throws(() => decodeAuthorization(encode({ scope: UNKNOWN })), { message: /scope/ })
    t.throws(() => decodeAuthorization(encode({ action: UNKNOWN })), { message: /action/ })
    const odd = {
      namespaces: [{ matchType: { case: undefined } }],
      sourceIps: [
        { address: new Uint8Array(3), length: 8 },
        { address: new Uint8Array(4), length: 40 },
      ],
      destinationPorts: [65536 + 80],
    }
    const policy = decodeAuthorization(encode({ rules: [{ clauses: [{ matches: [odd] }] }] } as never))
    t.strictSame(policy.rules, [[[aMatch({ destinationPorts: [80] })]]])
  },
)

t.test('what is absent has the defaults of the API', async (t) => {
  const decode = (type: MessageInitShape<typeof AddressSchema>['type']) =>
    decodeAddress(toBinary(AddressSchema, create(AddressSchema, { type } as never)), new Interner())
  t.match(decode({ case: 'workload', value: {} } as never), {
    workload: {
      trustDomain: 'cluster.local',
      serviceAccount: 'default',
      clusterId: 'Kubernetes',
      capacity: 1,
    },
  })
  const mapped = new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 5])
  t.match(decode({ case: 'workload', value: { addresses: [mapped], capacity: 0 } } as never), {
    workload: { addresses: ['10.0.0.5'], capacity: 0 },
  })
  const service = { subjectAltNames: ['spiffe://td/ns/a/sa/b', 'not-spiffe'], visibility: 99 }
  t.match(decode({ case: 'service', value: service } as never), {
    service: { subjectAltNames: ['spiffe://td/ns/a/sa/b'], visibility: 'PUBLIC' },
  })
})
