import t from 'tap'
import { MeshStore } from '../../mesh/index.ts'
import { aMatch, aPolicy, aService } from '../../mesh/test-support.ts'
import { workload } from '../../telemetry/test-support.ts'
import { configDump, dumpPolicy, dumpService, dumpWorkload } from './config-dump.ts'

/** As the wire has it: fields without value are not there. */
const asJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

t.test('a workload, with defaults left out', async (t) => {
  t.strictSame(asJson(dumpWorkload(workload('web'))), {
    workloadIps: ['10.0.0.5'],
    protocol: 'HBONE',
    networkMode: 'Standard',
    uid: 'Kubernetes//Pod/default/web',
    name: 'web',
    namespace: 'default',
    trustDomain: 'cluster.local',
    serviceAccount: 'web',
    workloadName: 'web-deploy',
    workloadType: 'deployment',
    canonicalName: 'web-app',
    canonicalRevision: 'v1',
    node: 'node-1',
    status: 'Healthy',
    clusterId: 'Kubernetes',
    locality: { region: 'r1', zone: 'z1' },
    capacity: 1,
  })
})

t.test('a workload with everything', async (t) => {
  const full = workload('web', {
    tunnelProtocol: 'NONE',
    nativeTunnel: true,
    networkMode: 'HOST_NETWORK',
    status: 'UNHEALTHY',
    network: 'n1',
    hostname: 'web.example',
    applicationTunnel: { protocol: 'PROXY', port: 15088 },
    waypoint: {
      kind: 'hostname',
      namespace: 'default',
      hostname: 'wp.default.svc.cluster.local',
      hboneMtlsPort: 15008,
    },
    networkGateway: { kind: 'address', network: 'n2', address: '192.0.2.1', hboneMtlsPort: 15009 },
    authorizationPolicies: ['default/deny'],
    services: new Map([['default/web.default.svc.cluster.local', []]]),
  })
  t.match(asJson(dumpWorkload(full)), {
    protocol: 'TCP',
    nativeTunnel: true,
    networkMode: 'HostNetwork',
    status: 'Unhealthy',
    network: 'n1',
    hostname: 'web.example',
    applicationTunnel: { protocol: 'PROXY', port: 15088 },
    waypoint: { destination: 'default/wp.default.svc.cluster.local', hboneMtlsPort: 15008 },
    networkGateway: { destination: 'n2/192.0.2.1', hboneMtlsPort: 15009 },
    authorizationPolicies: ['default/deny'],
    services: ['default/web.default.svc.cluster.local'],
  })
})

t.test('a service', async (t) => {
  const web = aService({
    name: 'web',
    loadBalancing: { routingPreference: ['NETWORK', 'SUBZONE'], mode: 'FAILOVER', healthPolicy: 'ALLOW_ALL' },
    ipFamilies: 'IPV4_ONLY',
    visibility: 'NAMESPACE',
    cidrs: [{ network: '', cidr: '10.2.0.0/16' }],
  })
  t.strictSame(asJson(dumpService(web, new MeshStore())), {
    name: 'web',
    namespace: 'default',
    hostname: 'web.default.svc.cluster.local',
    vips: ['/10.96.0.1'],
    cidrVips: [{ network: '', cidr: '10.2.0.0/16' }],
    ports: { 80: 8080 },
    endpoints: {},
    loadBalancer: { mode: 'Failover', routingPreferences: ['Network', 'Subzone'], healthPolicy: 'AllowAll' },
    ipFamilies: 'IPv4',
    visibility: 'Namespace',
  })
})

t.test('a policy', async (t) => {
  const policy = aPolicy({
    name: 'deny',
    action: 'DENY',
    dryRun: true,
    rules: [
      [
        [
          aMatch({
            principals: [{ kind: 'prefix', value: 'cluster.local/' }, { kind: 'presence' }],
            notDestinationPorts: [80],
          }),
        ],
      ],
    ],
  })
  t.strictSame(asJson(dumpPolicy(policy)), {
    name: 'deny',
    namespace: 'default',
    scope: 'WorkloadSelector',
    action: 'Deny',
    dryRun: true,
    rules: [[[{ principals: [{ Prefix: 'cluster.local/' }, { Presence: [] }], notDestinationPorts: [80] }]]],
  })
})

t.test('lists are sorted by key, and endpoints come with their service', async (t) => {
  const mesh = new MeshStore()
  const key = 'default/web.default.svc.cluster.local'
  const ports = [{ servicePort: 80, targetPort: 8080, appProtocol: 'UNKNOWN' as const }]
  const pods = ['c', 'a', 'b'].map((name, index) =>
    workload(name, { addresses: [`10.0.0.${index + 1}`], services: new Map([[key, ports]]) }),
  )
  mesh.apply([
    ...['web', 'api'].map((name) => ({ kind: 'upsert-service' as const, service: aService({ name }) })),
    ...pods.map((pod) => ({ kind: 'upsert-workload' as const, workload: pod })),
  ])
  const dump = asJson(
    await configDump({
      certificates: () => [],
      config: () => ({}),
      mesh,
      workloadState: async () => undefined,
      version: {},
    }),
  )
  t.match(dump, {
    workloads: [{ name: 'a' }, { name: 'b' }, { name: 'c' }],
    services: [{ name: 'api' }, { name: 'web' }],
  })
  const web = (dump as { services: { endpoints: Record<string, unknown> }[] }).services[1]
  t.strictSame(
    Object.keys(web?.endpoints ?? {}),
    ['a', 'b', 'c'].map((name) => `Kubernetes//Pod/default/${name}`),
  )
  t.match(web?.endpoints['Kubernetes//Pod/default/a'], { port: { 80: 8080 }, status: 'Healthy' })
  t.notHas(dump, 'workloadState')
})
