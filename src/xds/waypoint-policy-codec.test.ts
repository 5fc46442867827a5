import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import t from 'tap'
import { type PolicyMatchSchema, PolicySchema } from '../gen/ztunnel/waypoint/policy_pb.ts'
import type { HttpPolicyMatch, WaypointPolicy } from '../mesh/http/policy-model.ts'
import { WaypointPolicyTable } from '../mesh/http/policy-table.ts'
import { aWaypointMatch, aWaypointPolicy } from '../mesh/http/policy-test-support.ts'
import type { StringMatch } from '../mesh/model.ts'
import { decodeWaypointPolicy } from './decode-waypoint-policy.ts'
import { encodeWaypointPolicy } from './encode-waypoint-policy.ts'
import { XdsError } from './errors.ts'
import { MeshEncoder } from './mesh-encoder.ts'
import { meshResources } from './mesh-resources.ts'
import { WAYPOINT_POLICY_TYPE } from './type-urls.ts'
import { WaypointPolicyHandler } from './waypoint-policy-handler.ts'

const TEXTS: readonly StringMatch[] = [
  { kind: 'exact', value: 'a' },
  { kind: 'prefix', value: 'b' },
  { kind: 'suffix', value: 'c' },
  { kind: 'presence' },
]
const BLOCKS = ['10.0.0.0/8', 'fd00::1/128']
const ACCOUNTS = [{ namespace: 'a', serviceAccount: 'b' }]
const PATHS = [...TEXTS, { kind: 'template', value: '/a/{*}/{**}' } as const]

/** Every list of a match, with something in it. */
const FULL: { readonly [F in keyof HttpPolicyMatch]: HttpPolicyMatch[F] } = {
  namespaces: TEXTS,
  notNamespaces: TEXTS,
  principals: TEXTS,
  notPrincipals: TEXTS,
  serviceAccounts: ACCOUNTS,
  notServiceAccounts: ACCOUNTS,
  sourceIps: BLOCKS,
  notSourceIps: BLOCKS,
  destinationIps: BLOCKS,
  notDestinationIps: BLOCKS,
  destinationPorts: [80],
  notDestinationPorts: [65535],
  trustDomains: TEXTS,
  notTrustDomains: TEXTS,
  remoteIps: BLOCKS,
  notRemoteIps: BLOCKS,
  serverNames: TEXTS,
  notServerNames: TEXTS,
  hosts: TEXTS,
  notHosts: TEXTS,
  methods: TEXTS,
  notMethods: TEXTS,
  paths: PATHS,
  notPaths: PATHS,
  headers: [{ name: 'x', values: TEXTS, notValues: TEXTS }],
  unsupported: ['requestPrincipals'],
}

function plain({ name, namespace, targets, action, dryRun, rules }: WaypointPolicy): WaypointPolicy {
  return { name, namespace, targets, action, dryRun, rules }
}

t.test('every list arrives as it was sent, and so does the rest', async (t) => {
  for (const [list, values] of Object.entries(FULL)) {
    const policy = aWaypointPolicy({ rules: [[[aWaypointMatch({ [list]: values })]]] })
    t.strictSame(plain(decodeWaypointPolicy(encodeWaypointPolicy(policy))), policy, list)
  }
  const policy = aWaypointPolicy({
    action: 'DENY',
    dryRun: true,
    targets: [
      { kind: 'service', service: 'foo/a.foo.svc.cluster.local' },
      { kind: 'gateway', namespace: 'foo', name: 'wp' },
      { kind: 'gatewayClass', name: 'istio-waypoint' },
    ],
    rules: [[], [[]], [[aWaypointMatch(), FULL], [FULL]]],
  })
  t.strictSame(plain(decodeWaypointPolicy(encodeWaypointPolicy(policy))), policy)
})

const UNSET = { matchType: { case: undefined } }
const NO_BLOCK = { address: new Uint8Array(3), length: 8 }

t.test('whatever cannot be read refuses the policy with the reason', async (t) => {
  const refuse = (fields: MessageInitShape<typeof PolicySchema>, reason: RegExp) => {
    const bytes = toBinary(PolicySchema, create(PolicySchema, { name: 'p', namespace: 'foo', ...fields }))
    t.throws(() => decodeWaypointPolicy(bytes), { code: 'invalid-resource', message: reason }, String(reason))
  }
  refuse({ name: '' }, /a policy has no name or namespace/)
  refuse({ action: 9 as never }, /unknown enum value 9 for action/)
  refuse({ targets: [{ target: { case: undefined } }] }, /unknown kind of target/)
  refuse(
    { targets: [{ target: { case: 'service', value: 'a/b/c' } }] },
    /target "a\/b\/c": expected namespace/,
  )
  const matches: readonly (readonly [MessageInitShape<typeof PolicyMatchSchema>, RegExp])[] = [
    [{ hosts: [UNSET] }, /^hosts has a value that cannot be read/],
    [{ notMethods: [UNSET] }, /^not_methods has a value/],
    [{ paths: [{ match: { case: undefined } }] }, /^paths has a value/],
    [{ notPaths: [{ match: { case: 'text', value: UNSET } }] }, /^not_paths has a value/],
    [{ paths: [{ match: { case: 'template', value: '/{**}/{*}' } }] }, /failed to decode: path template/],
    [{ remoteIps: [NO_BLOCK] }, /^remote_ips has a value/],
    [{ connection: { principals: [UNSET] } }, /^connection.principals has a value/],
    [{ connection: { notSourceIps: [NO_BLOCK] } }, /^connection.notSourceIps has a value/],
    [{ headers: [{ name: 'X-A' }] }, /header name "X-A": expected one in lower case/],
    [{ headers: [{ name: '' }] }, /header name ""/],
    [{ headers: [{ name: 'x', notValues: [UNSET] }] }, /header x has a value/],
  ]
  for (const [match, reason] of matches) refuse({ rules: [{ clauses: [{ matches: [match] }] }] }, reason)
  t.throws(() => decodeWaypointPolicy(Uint8Array.of(255)), { message: /^failed to decode/ })
})

t.test('whatever bytes come, the answer is a policy or a reason', async () => {
  const whole = encodeWaypointPolicy(aWaypointPolicy({ rules: [[[FULL]]] }))
  const flips = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 })
  const corrupted = flips.map((flips) => {
    const bytes = whole.slice()
    for (const [at, value] of flips) bytes[at] = value
    return bytes
  })
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), corrupted), (bytes) => {
      try {
        new WaypointPolicyTable().apply({ upserts: [decodeWaypointPolicy(bytes)] })
        return true
      } catch (error) {
        return error instanceof XdsError && error.code === 'invalid-resource'
      }
    }),
    { numRuns: 2000 },
  )
})

t.test('a batch is in force at once; a refused policy leaves the one before', async (t) => {
  const table = new WaypointPolicyTable()
  const handler = new WaypointPolicyHandler(table)
  t.equal(handler.typeUrl, WAYPOINT_POLICY_TYPE)
  t.equal(handler.syncedDespiteRejections, false)
  const first = handler.batch()
  first.update('default/a', encodeWaypointPolicy(aWaypointPolicy({ name: 'a' })))
  first.update('default/b', encodeWaypointPolicy(aWaypointPolicy({ name: 'b' })))
  t.equal([...table.values()].length, 0)
  first.commit()
  const second = handler.batch()
  const other = encodeWaypointPolicy(aWaypointPolicy({ name: 'other' }))
  t.throws(() => second.update('default/a', other), { message: 'the resource is default/other' })
  second.remove('default/b')
  second.commit()
  t.strictSame(
    [...table.values()].map(({ name }) => name),
    ['a'],
  )
})

t.test('the config server publishes them under their own type, encoded once', async (t) => {
  const waypointPolicies = [aWaypointPolicy()]
  const mesh = { workloads: [], services: [], policies: [], waypointPolicies }
  t.match(meshResources(mesh).get(WAYPOINT_POLICY_TYPE), [{ name: 'default/policy' }])
  const encoder = new MeshEncoder()
  const first = await encoder.encode(mesh, async () => {})
  const second = await encoder.encode({ ...mesh, waypointPolicies: [aWaypointPolicy()] }, async () => {})
  const [resource] = first.resources.get(WAYPOINT_POLICY_TYPE) ?? []
  t.ok(resource !== undefined && resource === second.resources.get(WAYPOINT_POLICY_TYPE)?.[0])
  t.equal(second.mesh.waypointPolicies?.[0], waypointPolicies[0])
})
