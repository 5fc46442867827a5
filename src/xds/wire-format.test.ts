import t from 'tap'
import { aMatch } from '../mesh/test-support.ts'
import { decodeAddress, decodeAuthorization } from './decode.ts'
import { encodeAuthorization, encodeService, encodeWorkload } from './encode.ts'
import { Interner } from './interner.ts'
import { hex, policy, service, workload } from './test-support.ts'

// Written by hand from the field numbers of Istio's workload and security
// APIs, so that a wrong number in a .proto file cannot agree with itself.

t.test('a workload has the bytes that Istio gives it', async (t) => {
  const whole = message(1, [
    text(1, 'a'),
    text(2, 'ns'),
    field(3, hex('0a000005')),
    field(3, hex('fd000000000000000000000000000005')),
    text(4, 'net'),
    varint(5, 1),
    text(6, 'td'),
    text(7, 'sa'),
    message(8, [message(2, [text(1, 'net'), field(2, hex('0a000006'))]), varint(3, 15008)]),
    text(9, 'node'),
    text(10, 'app'),
    text(11, 'v1'),
    varint(12, 2),
    text(13, 'owner'),
    varint(14, 1),
    text(16, 'ns/policy'),
    varint(17, 1),
    text(18, 'cluster'),
    message(19, [message(1, [text(1, 'gw'), text(2, 'gw.example')]), varint(3, 15009)]),
    text(20, 'uid'),
    text(21, 'a.example'),
    message(22, [
      text(1, 'ns/svc'),
      message(2, [message(1, [varint(1, 80), varint(2, 8080), varint(3, 4)])]),
    ]),
    message(23, [varint(1, 1), varint(2, 9090)]),
    message(24, [text(1, 'r'), text(2, 'z'), text(3, 's')]),
    varint(25, 1),
    message(27, [varint(1, 7)]),
  ])
  const expected = workload('a', {
    namespace: 'ns',
    addresses: ['10.0.0.5', 'fd00::5'],
    network: 'net',
    trustDomain: 'td',
    serviceAccount: 'sa',
    waypoint: { kind: 'address', network: 'net', address: '10.0.0.6', hboneMtlsPort: 15008 },
    node: 'node',
    canonicalName: 'app',
    canonicalRevision: 'v1',
    workloadName: 'owner',
    nativeTunnel: true,
    authorizationPolicies: ['ns/policy'],
    status: 'UNHEALTHY',
    clusterId: 'cluster',
    networkGateway: { kind: 'hostname', namespace: 'gw', hostname: 'gw.example', hboneMtlsPort: 15009 },
    uid: 'uid',
    hostname: 'a.example',
    services: new Map([['ns/svc', [{ servicePort: 80, targetPort: 8080, appProtocol: 'TCP' }]]]),
    applicationTunnel: { protocol: 'PROXY', port: 9090 },
    locality: { region: 'r', zone: 'z', subzone: 's' },
    networkMode: 'HOST_NETWORK',
    capacity: 7,
  })
  t.strictSame(decodeAddress(whole, new Interner()), { kind: 'workload', workload: expected })
  t.equal(toHex(encodeWorkload(expected)), toHex(whole))
})

t.test('a service has the bytes that Istio gives it', async (t) => {
  const whole = message(2, [
    text(1, 'svc'),
    text(2, 'ns'),
    text(3, 'svc.example'),
    message(4, [text(1, 'net'), field(2, hex('0a600001'))]),
    message(4, [text(1, 'net'), field(2, hex('0a610000')), varint(3, 16)]),
    message(5, [varint(1, 80), varint(3, 1)]),
    text(6, 'spiffe://td/ns/ns/sa/other'),
    message(8, [field(1, hex('0603')), varint(2, 2), varint(3, 1)]),
    varint(9, 3),
    varint(11, 1),
    message(13, [
      message(1, [message(1, [text(1, 'ns'), text(2, 'wp.example')]), varint(3, 15008)]),
      varint(2, 5),
    ]),
    varint(14, 1),
  ])
  const expected = service('svc', {
    namespace: 'ns',
    hostname: 'svc.example',
    addresses: [{ network: 'net', address: '10.96.0.1' }],
    cidrs: [{ network: 'net', cidr: '10.97.0.0/16' }],
    ports: [{ servicePort: 80, targetPort: 0, appProtocol: 'HTTP11' }],
    subjectAltNames: ['spiffe://td/ns/ns/sa/other'],
    loadBalancing: { routingPreference: ['NETWORK', 'SUBZONE'], mode: 'FAILOVER', healthPolicy: 'ALLOW_ALL' },
    ipFamilies: 'DUAL',
    weightedWaypoints: [
      {
        destination: { kind: 'hostname', namespace: 'ns', hostname: 'wp.example', hboneMtlsPort: 15008 },
        weight: 5,
      },
    ],
    visibility: 'NAMESPACE',
  })
  t.strictSame(decodeAddress(whole, new Interner()), { kind: 'service', service: expected })
  t.equal(toHex(encodeService(expected)), toHex(whole))
})

t.test('a policy has the bytes that Istio gives it', async (t) => {
  const fields = [
    message(1, [text(1, 'exact')]),
    message(2, [text(2, 'prefix')]),
    message(3, [text(3, 'suffix')]),
    message(4, [message(4, [])]),
    message(5, [field(1, hex('0a000000')), varint(2, 8)]),
    message(6, [field(1, hex('0a010000')), varint(2, 16)]),
    message(7, [field(1, hex('0a020000')), varint(2, 16)]),
    message(8, [field(1, hex('0a030000')), varint(2, 16)]),
    field(9, hex('50')),
    field(10, hex('901f')),
    message(11, [text(1, 'ns'), text(2, 'sa')]),
    message(12, [text(1, 'ns'), text(2, 'other')]),
  ]
  const whole = concat([
    text(1, 'p'),
    text(2, 'ns'),
    varint(3, 2),
    varint(4, 1),
    message(5, [message(1, [message(2, fields)])]),
    varint(6, 1),
  ])
  const expected = policy('p', {
    namespace: 'ns',
    scope: 'WORKLOAD_SELECTOR',
    action: 'DENY',
    dryRun: true,
    rules: [
      [
        [
          aMatch({
            namespaces: [{ kind: 'exact', value: 'exact' }],
            notNamespaces: [{ kind: 'prefix', value: 'prefix' }],
            principals: [{ kind: 'suffix', value: 'suffix' }],
            notPrincipals: [{ kind: 'presence' }],
            sourceIps: ['10.0.0.0/8'],
            notSourceIps: ['10.1.0.0/16'],
            destinationIps: ['10.2.0.0/16'],
            notDestinationIps: ['10.3.0.0/16'],
            destinationPorts: [80],
            notDestinationPorts: [3984],
            serviceAccounts: [{ namespace: 'ns', serviceAccount: 'sa' }],
            notServiceAccounts: [{ namespace: 'ns', serviceAccount: 'other' }],
          }),
        ],
      ],
    ],
  })
  t.strictSame(decodeAuthorization(whole), expected)
  t.equal(toHex(encodeAuthorization(expected)), toHex(whole))
})

/** Wire type 0. */
function varint(number: number, value: number): Uint8Array {
  return concat([base128(number << 3), base128(value)])
}

/** Wire type 2. */
function field(number: number, bytes: Uint8Array): Uint8Array {
  return concat([base128((number << 3) | 2), base128(bytes.length), bytes])
}

function text(number: number, value: string): Uint8Array {
  return field(number, Buffer.from(value))
}

function message(number: number, fields: readonly Uint8Array[]): Uint8Array {
  return field(number, concat(fields))
}

function base128(value: number): Uint8Array {
  const bytes: number[] = []
  let rest = value
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80)
  return Uint8Array.from([...bytes, rest])
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts))
}

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
