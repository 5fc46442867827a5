import fc from 'fast-check'
import t from 'tap'
import type {
  AuthorizationPolicy,
  GatewayAddress,
  PolicyMatch,
  Service,
  StringMatch,
  Workload,
} from '../mesh/model.ts'
import { aMatch } from '../mesh/test-support.ts'
import { decodeAddress, decodeAuthorization } from './decode.ts'
import { encodeAuthorization, encodeService, encodeWorkload } from './encode.ts'
import { XdsError } from './errors.ts'
import { Interner } from './interner.ts'
import { policy, service, workload } from './test-support.ts'

/** Objects as code writes them, rather than without a prototype. */
function plain<T extends object>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>(fields, { noNullPrototype: true })
}

const text = fc.string({ maxLength: 12 })
const named = fc.string({ minLength: 1, maxLength: 12 })
const part = fc.stringMatching(/^[a-z0-9-]{1,8}$/)
const ipv4 = fc.ipV4().filter((address) => address !== '')
const ipv6 = fc.constantFrom('fd00::5', '2001:db8::1', '::1', 'fe80::a:b')
const address = fc.oneof(ipv4, ipv6)
const block = fc.oneof(
  fc.tuple(ipv4, fc.integer({ min: 0, max: 32 })).map(([ip, length]) => `${ip}/${length}`),
  fc.tuple(ipv6, fc.integer({ min: 0, max: 128 })).map(([ip, length]) => `${ip}/${length}`),
)
const port = fc.integer({ min: 1, max: 65535 })
const key = fc.tuple(part, part).map(([namespace, host]) => `${namespace}/${host}` as const)
const ports = fc.array(
  plain({
    servicePort: port,
    targetPort: fc.integer({ min: 0, max: 65535 }),
    appProtocol: fc.constantFrom('UNKNOWN', 'HTTP11', 'HTTP2', 'GRPC', 'TCP', 'TLS'),
  }),
  { maxLength: 3 },
)
const gateway: fc.Arbitrary<GatewayAddress> = fc.oneof(
  plain({ kind: fc.constant('hostname' as const), namespace: text, hostname: text, hboneMtlsPort: port }),
  plain({ kind: fc.constant('address' as const), network: text, address, hboneMtlsPort: port }),
)

const workloads: fc.Arbitrary<Workload> = plain({
  uid: text,
  namespace: text,
  serviceAccount: named,
  trustDomain: named,
  addresses: fc.array(address, { maxLength: 3 }),
  hostname: text,
  network: text,
  node: text,
  clusterId: named,
  tunnelProtocol: fc.constantFrom('NONE', 'HBONE'),
  nativeTunnel: fc.boolean(),
  applicationTunnel: fc.option(
    plain({ protocol: fc.constantFrom('NONE', 'PROXY'), port: fc.option(port, { nil: undefined }) }),
    { nil: undefined },
  ),
  waypoint: fc.option(gateway, { nil: undefined }),
  networkGateway: fc.option(gateway, { nil: undefined }),
  networkMode: fc.constantFrom('STANDARD', 'HOST_NETWORK'),
  workloadType: fc.constantFrom('DEPLOYMENT', 'CRONJOB', 'POD', 'JOB'),
  services: fc.array(fc.tuple(key, ports), { maxLength: 3 }).map((entries) => new Map(entries)),
  authorizationPolicies: fc.array(text, { maxLength: 3 }),
  status: fc.constantFrom('HEALTHY', 'UNHEALTHY'),
  locality: plain({ region: text, zone: text, subzone: text }),
  capacity: fc.nat({ max: 100 }),
}).map((fields) => workload('any', fields as Partial<Workload>))

const services: fc.Arbitrary<Service> = plain({
  hostname: text,
  addresses: fc.array(plain({ network: text, address }), { maxLength: 3 }),
  cidrs: fc.array(
    plain({ network: text, cidr: block.filter((cidr) => !/\.\d+\/32$|:.*\/128$/.test(cidr)) }),
    { maxLength: 2 },
  ),
  ports,
  waypoint: fc.option(gateway, { nil: undefined }),
  weightedWaypoints: fc.array(plain({ destination: gateway, weight: fc.nat() }), { maxLength: 2 }),
  loadBalancing: plain({
    routingPreference: fc.array(fc.constantFrom('REGION', 'ZONE', 'SUBZONE', 'NODE', 'CLUSTER', 'NETWORK')),
    mode: fc.constantFrom('STANDARD', 'STRICT', 'FAILOVER', 'PASSTHROUGH'),
    healthPolicy: fc.constantFrom('ONLY_HEALTHY', 'ALLOW_ALL'),
  }),
  ipFamilies: fc.constantFrom('AUTOMATIC', 'IPV4_ONLY', 'IPV6_ONLY', 'DUAL'),
  canonical: fc.boolean(),
  visibility: fc.constantFrom('PUBLIC', 'NAMESPACE'),
}).map((fields) => service('any', fields as Partial<Service>))

const strings: fc.Arbitrary<StringMatch[]> = fc.array(
  fc.oneof(
    plain({ kind: fc.constantFrom('exact' as const, 'prefix' as const, 'suffix' as const), value: text }),
    fc.constant({ kind: 'presence' as const }),
  ),
  { maxLength: 2 },
)
const accounts = fc.array(plain({ namespace: text, serviceAccount: text }), { maxLength: 2 })
const blocks = fc.array(block, { maxLength: 2 })
const portList = fc.array(port, { maxLength: 2 })
const matches: fc.Arbitrary<PolicyMatch> = plain({
  namespaces: strings,
  notNamespaces: strings,
  principals: strings,
  notPrincipals: strings,
  serviceAccounts: accounts,
  notServiceAccounts: accounts,
  sourceIps: blocks,
  notSourceIps: blocks,
  destinationIps: blocks,
  notDestinationIps: blocks,
  destinationPorts: portList,
  notDestinationPorts: portList,
}).map(aMatch)
const policies: fc.Arbitrary<AuthorizationPolicy> = plain({
  scope: fc.constantFrom('GLOBAL' as const, 'NAMESPACE' as const, 'WORKLOAD_SELECTOR' as const),
  action: fc.constantFrom('ALLOW' as const, 'DENY' as const),
  dryRun: fc.boolean(),
  rules: fc.array(fc.array(fc.array(matches, { maxLength: 2 }), { maxLength: 2 }), { maxLength: 2 }),
}).map((fields) => policy('any', fields))

t.test('a workload survives the wire, and equal ones have equal bytes', async (t) => {
  fc.assert(
    fc.property(workloads, (given) => {
      const bytes = encodeWorkload(given)
      t.strictSame(decodeAddress(bytes, new Interner()), { kind: 'workload', workload: given })
      const reordered = { ...given, services: new Map([...given.services].reverse()) }
      return Buffer.compare(bytes, encodeWorkload(reordered)) === 0
    }),
    { numRuns: 200 },
  )
})

t.test('a service survives the wire', async (t) => {
  fc.assert(
    fc.property(services, (given) => {
      t.strictSame(decodeAddress(encodeService(given), new Interner()), { kind: 'service', service: given })
    }),
    { numRuns: 200 },
  )
})

t.test('a policy survives the wire', async (t) => {
  fc.assert(
    fc.property(policies, (given) => {
      t.strictSame(decodeAuthorization(encodeAuthorization(given)), given)
    }),
    { numRuns: 200 },
  )
})

t.test('whatever bytes a control plane sends, the answer is a resource or a reason', async () => {
  const interner = new Interner()
  const damaged = fc
    .tuple(
      fc.oneof(workloads.map(encodeWorkload), services.map(encodeService)),
      fc.nat(),
      fc.nat({ max: 255 }),
    )
    .map(([bytes, at, value]) => {
      const copy = Uint8Array.from(bytes)
      copy[at % Math.max(1, copy.length)] = value
      return copy
    })
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), damaged), (bytes) => {
      for (const decode of [() => decodeAddress(bytes, interner), () => decodeAuthorization(bytes)]) {
        try {
          decode()
        } catch (error) {
          if (!(error instanceof XdsError) || error.code !== 'invalid-resource') throw error
        }
      }
    }),
    { numRuns: 2000 },
  )
})
