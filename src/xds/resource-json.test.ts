import t from 'tap'
import { aWaypointMatch, aWaypointPolicy } from '../mesh/http/policy-test-support.ts'
import { aMatch } from '../mesh/test-support.ts'
import { diffResources } from './resource-diff.ts'
import { readableResources } from './resource-json.ts'
import { policy, service, workload } from './test-support.ts'

const NONE = { workloads: [], services: [], policies: [] }

t.test('addresses are text, enumerations are Istio names, what has no value is left out', async (t) => {
  const gateway = { kind: 'address' as const, network: 'n', address: 'fd00::1', hboneMtlsPort: 15008 }
  const mesh = {
    workloads: [workload('a', { addresses: ['10.0.0.1', 'fd00::2'], waypoint: gateway })],
    services: [service('b', { cidrs: [{ network: 'n', cidr: '10.1.0.0/16' }] })],
    policies: [policy('c', { rules: [[[aMatch({ sourceIps: ['10.0.0.0/8', 'fd00::/8'] })], [aMatch()]]] })],
  }
  const [b, a, c] = readableResources(mesh)
  t.match(a, {
    kind: 'workload',
    name: 'Kubernetes//Pod/foo/a',
    value: {
      addresses: ['10.0.0.1', 'fd00::2'],
      tunnelProtocol: 'HBONE',
      status: 'HEALTHY',
      waypoint: { address: { network: 'n', address: 'fd00::1' }, hboneMtlsPort: 15008 },
    },
  })
  t.notOk(Object.hasOwn(a?.value ?? {}, 'hostname'))
  t.match(b, {
    kind: 'service',
    name: 'foo/b.foo.svc.cluster.local',
    value: {
      addresses: [{ address: '10.96.0.1' }, { network: 'n', address: '10.1.0.0', length: 16 }],
      ports: [{ servicePort: 80, targetPort: 8080, appProtocol: 'HTTP11' }],
    },
  })
  t.match(c, {
    kind: 'policy',
    name: 'foo/c',
    value: {
      scope: 'NAMESPACE',
      action: 'ALLOW',
      rules: [{ clauses: [{ matches: [{ sourceIps: ['10.0.0.0/8', 'fd00::/8'] }] }, { matches: [{}] }] }],
    },
  })
})

t.test('a policy that allows nothing shows that it has no rules', async (t) => {
  const [shown] = readableResources({ ...NONE, policies: [policy('c')] })
  t.strictSame(shown?.value['rules'], [])
})

t.test('resources come by type, then by name', async (t) => {
  const mesh = {
    workloads: [workload('b'), workload('a')],
    services: [service('z')],
    policies: [policy('p')],
  }
  t.strictSame(
    readableResources(mesh).map(({ name }) => name),
    ['foo/z.foo.svc.cluster.local', 'Kubernetes//Pod/foo/a', 'Kubernetes//Pod/foo/b', 'foo/p'],
  )
})

t.test('a difference names resources, and of changed ones the fields', async (t) => {
  const key = 'foo/s.foo.svc.cluster.local'
  const port = (targetPort: number) => ({ servicePort: 80, targetPort, appProtocol: 'TCP' as const })
  const before = {
    workloads: [workload('same'), workload('gone'), workload('a', { services: new Map([[key, [port(1)]]]) })],
    services: [],
    policies: [],
  }
  const after = {
    workloads: [
      workload('same'),
      workload('a', { services: new Map([[key, [port(2), port(3)]]]), authorizationPolicies: ['foo/p'] }),
    ],
    services: [],
    policies: [policy('p')],
  }
  const at = `services["${key}"]`
  t.strictSame(diffResources(readableResources(before), readableResources(after)), [
    { change: 'added', kind: 'policy', name: 'foo/p', fields: [] },
    {
      change: 'changed',
      kind: 'workload',
      name: 'Kubernetes//Pod/foo/a',
      fields: [
        { field: 'authorizationPolicies', before: undefined, after: ['foo/p'] },
        { field: `${at}.ports[0].targetPort`, before: 1, after: 2 },
        {
          field: `${at}.ports[1]`,
          before: undefined,
          after: { servicePort: 80, targetPort: 3, appProtocol: 'TCP' },
        },
      ],
    },
    { change: 'removed', kind: 'workload', name: 'Kubernetes//Pod/foo/gone', fields: [] },
  ])
})

t.test('a policy of a waypoint is a kind of its own', async (t) => {
  const rules = [
    [[aWaypointMatch({ paths: [{ kind: 'prefix', value: '/admin' }], remoteIps: ['10.0.0.0/8'] })]],
  ]
  const mesh = {
    workloads: [],
    services: [],
    policies: [policy('p')],
    waypointPolicies: [aWaypointPolicy({ rules })],
  }
  t.match(readableResources(mesh), [
    { kind: 'policy', name: 'foo/p' },
    {
      kind: 'waypoint-policy',
      name: 'default/policy',
      value: {
        targets: [{ gateway: { namespace: 'default', name: 'waypoint' } }],
        action: 'ALLOW',
        rules: [
          {
            clauses: [{ matches: [{ paths: [{ text: { prefix: '/admin' } }], remoteIps: ['10.0.0.0/8'] }] }],
          },
        ],
      },
    },
  ])
})
