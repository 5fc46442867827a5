import fc from 'fast-check'
import t from 'tap'
import { formatProblem } from '../kubernetes/problem.ts'
import { parseLocalState } from './parse.ts'

const GOOD = `
workloads:
  - workloadIps: [10.0.0.1, 'FD00:0::1']
    namespace: default
    name: client
    protocol: HBONE
    node: local
  - uid: server-1
    workloadIps: [127.0.0.1]
    namespace: default
    name: server
    serviceAccount: web
    protocol: HBONE
    workloadType: pod
    networkMode: HostNetwork
    status: Unhealthy
    applicationTunnel: { protocol: PROXY, port: 8443 }
    waypoint: { destination: default/waypoint.example.com }
    networkGateway: { destination: far/192.0.2.1, hboneMtlsPort: 15009 }
    locality: { region: r, zone: z }
    capacity: 3
    services:
      default/web.example.com: { 80: 8080, 443: 0 }
    authorizationPolicies: [default/allow]
services:
  - name: web
    namespace: default
    hostname: web.example.com
    vips: [/10.1.0.1, n/fd00::10]
    cidrVips: [{ network: '', cidr: 10.2.0.9/16 }]
    ports: { 80: 8080 }
    endpoints: { c: { workloadUid: local//default/client, service: default/web.example.com, port: { 80: 8081 }, status: Healthy } }
    subjectAltNames: ['spiffe://cluster.local/ns/default/sa/web']
    weightedWaypoints: [{ destination: /10.3.0.1, weight: 2 }]
    loadBalancer: { mode: Failover, routingPreferences: [Network, Region], healthPolicy: AllowAll }
    ipFamilies: Dual
    canonical: true
    visibility: Namespace
policies:
  - name: allow
    namespace: default
    scope: WorkloadSelector
    action: Allow
    rules:
      - - - principals: [{ Exact: cluster.local/ns/default/sa/default }]
            notNamespaces: [{ Presence: [] }]
            sourceIps: [10.9.9.9/8, 'fd00::1/64']
            destinationPorts: [80]
`

t.test('every field of the format', async (t) => {
  const { state, problems } = parseLocalState('mesh.yaml', GOOD)
  t.same(problems.map(formatProblem), [])
  t.match(state?.workloads[0], {
    uid: 'local//default/client',
    addresses: ['10.0.0.1', 'fd00::1'],
    serviceAccount: 'default',
    trustDomain: 'cluster.local',
    tunnelProtocol: 'HBONE',
    capacity: 1,
  })
  t.same(state?.workloads[0]?.services.get('default/web.example.com'), [
    { servicePort: 80, targetPort: 8081, appProtocol: 'UNKNOWN' },
  ])
  t.match(state?.workloads[1], {
    uid: 'server-1',
    workloadType: 'POD',
    networkMode: 'HOST_NETWORK',
    status: 'UNHEALTHY',
    applicationTunnel: { protocol: 'PROXY', port: 8443 },
    waypoint: {
      kind: 'hostname',
      namespace: 'default',
      hostname: 'waypoint.example.com',
      hboneMtlsPort: 15008,
    },
    networkGateway: { kind: 'address', network: 'far', address: '192.0.2.1', hboneMtlsPort: 15009 },
    locality: { region: 'r', zone: 'z', subzone: '' },
    capacity: 3,
    authorizationPolicies: ['default/allow'],
  })
  t.match(state?.services[0], {
    addresses: [
      { network: '', address: '10.1.0.1' },
      { network: 'n', address: 'fd00::10' },
    ],
    cidrs: [{ network: '', cidr: '10.2.0.0/16' }],
    ports: [{ servicePort: 80, targetPort: 8080 }],
    weightedWaypoints: [{ destination: { kind: 'address', address: '10.3.0.1' }, weight: 2 }],
    loadBalancing: { mode: 'FAILOVER', routingPreference: ['NETWORK', 'REGION'], healthPolicy: 'ALLOW_ALL' },
    ipFamilies: 'DUAL',
    canonical: true,
    visibility: 'NAMESPACE',
  })
  t.match(state?.policies[0], {
    scope: 'WORKLOAD_SELECTOR',
    action: 'ALLOW',
    dryRun: false,
    rules: [
      [
        [
          {
            principals: [{ kind: 'exact', value: 'cluster.local/ns/default/sa/default' }],
            notNamespaces: [{ kind: 'presence' }],
            sourceIps: ['10.0.0.0/8', 'fd00::/64'],
            destinationPorts: [80],
            namespaces: [],
          },
        ],
      ],
    ],
  })
})

t.test('an empty file is an empty mesh', async (t) => {
  t.same(parseLocalState('mesh.yaml', '').state, { workloads: [], services: [], policies: [] })
})

const WRONG: readonly (readonly [string, string | RegExp])[] = [
  ['workload: []', 'mesh.yaml:1:1: workload: unknown field; check its spelling'],
  [
    'workloads:\n  - namespace: a\n    workloadIps: [10.0.0.256]',
    'mesh.yaml:3:19: workloads[0].workloadIps[0]: expected an IPv4 or IPv6 address, got "10.0.0.256"',
  ],
  ['workloads:\n  - workloadIps: []', /^mesh\.yaml:2:5: workloads\[0\]\.namespace: expected text/],
  [
    'workloads:\n  - namespace: a',
    /^mesh\.yaml:2:5: workloads\[0\]\.workloadIps: expected a list of addresses/,
  ],
  [
    'workloads: [{ namespace: a, workloadIps: [], protocol: hbone }]',
    /workloads\[0\]\.protocol: expected one of HBONE, TCP, got "hbone"/,
  ],
  [
    'services: [{ name: a, namespace: b, hostname: c, vips: [10.0.0.1] }]',
    /services\[0\]\.vips\[0\]: expected network\/ip/,
  ],
  [
    'services: [{ name: a, namespace: b, hostname: c, ports: { 0: 1 } }]',
    /mesh\.yaml:1:59: services\[0\]\.ports\.0: expected a port number/,
  ],
  [
    'services: [{ name: a, namespace: b, hostname: c, waypoint: { destination: x } }]',
    /waypoint\.destination: expected network\/ip or namespace\/hostname, got "x"/,
  ],
  [
    'policies: [{ name: a, namespace: b, scope: Global, action: Deny, rules: [[[{ principals: [{ exact: x }] }]]] }]',
    /principals\[0\]\.exact: unknown field/,
  ],
  [
    'policies: [{ name: a, namespace: b, scope: Global, action: Deny, rules: [[[{ principals: [{}] }]]] }]',
    /principals\[0\]: expected exactly one of/,
  ],
  [
    'policies: [{ name: a, namespace: b, scope: Global, action: Deny, rules: [[[{ sourceIps: [10.0.0.0/33] }]]] }]',
    /sourceIps\[0\]: expected a CIDR block/,
  ],
  [
    'workloads: [{ namespace: a, workloadIps: [], authorizationPolicies: [a/b] }]',
    /authorizationPolicies\[0\]: there is no policy a\/b/,
  ],
  ['workloads: [{ namespace: a, workloadIps: [], services: { a/b: {80: 80} } }]', /there is no service a\/b/],
  [
    'workloads: [{ uid: u, namespace: a, workloadIps: [] }, { uid: u, namespace: a, workloadIps: [] }]',
    /workloads\[1\]: u is there already/,
  ],
  ['workloads: [', /^mesh\.yaml:1:13: /],
  ['- 1', /^mesh\.yaml:1:1: expected workloads, services and policies/],
]

t.test('what is wrong is named with its place', async (t) => {
  for (const [text, expected] of WRONG) {
    const { state, problems } = parseLocalState('mesh.yaml', text)
    t.equal(state, undefined, text)
    t.match(problems.map(formatProblem)[0], expected, text)
  }
})

t.test('any text is read or refused, never thrown over', async () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      const { state, problems } = parseLocalState('x', text)
      return (state === undefined) === problems.length > 0
    }),
  )
})
