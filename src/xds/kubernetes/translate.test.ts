import t from 'tap'
import type { Service, Workload } from '../../mesh/model.ts'
import { meshOf } from './test-support.ts'

const NAMESPACES = `---
apiVersion: v1
kind: Namespace
metadata: {name: foo, labels: {istio.io/dataplane-mode: ambient}, annotations: {networking.istio.io/traffic-distribution: PreferClose}}
---
apiVersion: v1
kind: Namespace
metadata: {name: istio-system, labels: {topology.istio.io/network: net1}}
`

function pod(fields: { metadata?: string; labels?: string; spec?: string; status?: string }): string {
  return `---
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: foo, labels: {app: web${fields.labels ?? ''}}${fields.metadata ?? ''}}
spec: {nodeName: node-a, serviceAccountName: sa${fields.spec ?? ''}}
status: {${fields.status ?? 'podIP: 10.0.0.1'}}
`
}

function service(spec: string, metadata = ''): string {
  return `---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: foo${metadata}}\nspec: {${spec}}\n`
}

function workloadOf(text: string): Partial<Workload> {
  return meshOf(NAMESPACES + text).workloads[0] ?? {}
}

function serviceOf(spec: string, metadata = ''): Partial<Service> {
  return meshOf(NAMESPACES + service(spec, metadata)).services[0] ?? {}
}

t.test('a pod becomes the workload that istiod makes of it', async (t) => {
  const text =
    pod({
      metadata: ', ownerReferences: [{kind: ReplicaSet, name: web-5d4f8, controller: true}]',
      labels: ', pod-template-hash: 5d4f8, version: v2',
      spec: ', containers: [{name: c, ports: [{name: http, containerPort: 8080}, {name: dns, containerPort: 53, protocol: UDP}]}]',
      status: 'podIPs: [{ip: 10.0.0.1}, {ip: "fd00::0001"}], podIP: 10.0.0.1',
    }) +
    service(
      'selector: {app: web}, clusterIP: 10.96.0.1, ports: [{port: 80, name: http, targetPort: http}, {port: 81, targetPort: nope}, {port: 82}, {port: 53, protocol: UDP}]',
    )
  t.strictSame(workloadOf(text), {
    uid: 'Kubernetes//Pod/foo/a',
    name: 'a',
    namespace: 'foo',
    serviceAccount: 'sa',
    trustDomain: 'cluster.local',
    addresses: ['10.0.0.1', 'fd00::1'],
    hostname: '',
    network: 'net1',
    node: 'node-a',
    clusterId: 'Kubernetes',
    tunnelProtocol: 'HBONE',
    nativeTunnel: false,
    applicationTunnel: undefined,
    waypoint: undefined,
    networkGateway: undefined,
    networkMode: 'STANDARD',
    workloadName: 'web',
    workloadType: 'POD',
    canonicalName: 'web',
    canonicalRevision: 'v2',
    services: new Map([
      [
        'foo/web.foo.svc.cluster.local',
        [
          { servicePort: 80, targetPort: 8080, appProtocol: 'HTTP11' },
          { servicePort: 82, targetPort: 82, appProtocol: 'UNKNOWN' },
        ],
      ],
    ]),
    authorizationPolicies: [],
    status: 'HEALTHY',
    locality: { region: '', zone: '', subzone: '' },
    capacity: 1,
  })
})

t.test('the tunnel follows from enrolment, annotation and label', async (t) => {
  t.match(workloadOf(pod({})), { tunnelProtocol: 'HBONE', nativeTunnel: false })
  const annotated = (value: string) =>
    pod({ metadata: `, annotations: {ambient.istio.io/redirection: ${value}}` })
  t.match(workloadOf(annotated('pending')), { tunnelProtocol: 'NONE' })
  t.match(workloadOf(annotated('enabled').replaceAll('foo', 'bar')), { tunnelProtocol: 'HBONE' })
  t.match(workloadOf(pod({}).replaceAll('foo', 'bar')), { tunnelProtocol: 'NONE' })
  t.match(workloadOf(pod({ labels: ', networking.istio.io/tunnel: "x,http"' })), {
    tunnelProtocol: 'HBONE',
    nativeTunnel: true,
  })
  t.match(workloadOf(pod({ labels: ', networking.istio.io/tunnel: tcp' })), { tunnelProtocol: 'NONE' })
})

t.test('health follows the Ready condition, and a file without conditions means a ready pod', async (t) => {
  const status = (conditions: string) =>
    workloadOf(pod({ status: `podIP: 10.0.0.1, conditions: [${conditions}]` })).status
  t.equal(status('{type: Ready, status: "True"}'), 'HEALTHY')
  t.equal(status('{type: Ready, status: "False"}'), 'UNHEALTHY')
  t.equal(status('{type: PodScheduled, status: "True"}'), 'UNHEALTHY')
  t.equal(workloadOf(pod({ metadata: ', deletionTimestamp: "2026-01-01T00:00:00Z"' })).status, 'UNHEALTHY')
})

t.test('pods that are not in the mesh are left out; what may be a mistake is said', async (t) => {
  t.same(workloadOf(pod({ status: 'podIP: 10.0.0.1, phase: Succeeded' })), {})
  t.same(workloadOf(pod({ status: 'podIP: 10.0.0.1, phase: Failed' })), {})
  t.match(meshOf(pod({ status: 'phase: Pending' })), { workloads: [], warnings: [{ field: 'status.podIP' }] })
  t.match(meshOf(pod({}).replace('nodeName: node-a, ', '')), { warnings: [{ field: 'spec.nodeName' }] })
  t.match(workloadOf(pod({ spec: ', hostNetwork: true' })), {
    networkMode: 'HOST_NETWORK',
    tunnelProtocol: 'NONE',
  })
})

t.test('names come from owners and labels', async (t) => {
  const owned = (kind: string, name: string) =>
    pod({ metadata: `, ownerReferences: [{kind: ${kind}, name: ${name}, controller: true}]` })
  t.equal(workloadOf(owned('StatefulSet', 'db')).workloadName, 'db')
  t.equal(workloadOf(owned('Job', 'nightly-28391040')).workloadName, 'nightly')
  t.equal(workloadOf(owned('ReplicaSet', 'odd-name')).workloadName, 'odd-name')
  t.equal(workloadOf(pod({})).workloadName, 'a')
  t.equal(workloadOf(pod({ labels: ', app.kubernetes.io/name: k' })).canonicalName, 'k')
  t.equal(
    workloadOf(pod({ labels: ', service.istio.io/canonical-name: c, app.kubernetes.io/name: k' }))
      .canonicalName,
    'c',
  )
})

t.test('a service account may be given by the field’s name of old', async (t) => {
  const old = pod({}).replace('serviceAccountName', 'serviceAccount')
  t.equal(workloadOf(old).serviceAccount, 'sa')
  t.equal(workloadOf(pod({ spec: ', serviceAccount: other' })).serviceAccount, 'sa')
})

t.test('a service becomes the service that istiod makes of it', async (t) => {
  t.strictSame(
    serviceOf(
      'clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1, "fd01::1"], ipFamilies: [IPv4, IPv6], ports: [{port: 80, name: grpc-api}, {port: 443, appProtocol: https, targetPort: tls}]',
    ),
    {
      name: 'web',
      namespace: 'foo',
      hostname: 'web.foo.svc.cluster.local',
      addresses: [
        { network: 'net1', address: '10.96.0.1' },
        { network: 'net1', address: 'fd01::1' },
      ],
      cidrs: [],
      ports: [
        { servicePort: 80, targetPort: 80, appProtocol: 'GRPC' },
        { servicePort: 443, targetPort: 0, appProtocol: 'TLS' },
      ],
      subjectAltNames: [],
      waypoint: undefined,
      weightedWaypoints: [],
      loadBalancing: {
        routingPreference: ['NETWORK', 'REGION', 'ZONE'],
        mode: 'FAILOVER',
        healthPolicy: 'ONLY_HEALTHY',
      },
      ipFamilies: 'DUAL',
      canonical: true,
      visibility: 'PUBLIC',
    },
  )
  t.match(serviceOf('clusterIP: None'), { addresses: [] })
  t.same(serviceOf('type: ExternalName'), {})
  t.match(serviceOf('internalTrafficPolicy: Local, publishNotReadyAddresses: true'), {
    loadBalancing: { routingPreference: ['NODE'], mode: 'STRICT', healthPolicy: 'ALLOW_ALL' },
  })
  t.match(serviceOf('trafficDistribution: PreferSameNode'), {
    loadBalancing: { routingPreference: ['NETWORK', 'REGION', 'ZONE', 'SUBZONE', 'NODE'] },
  })
  t.match(meshOf(service('ports: [{port: 80}]')).warnings, [
    { field: 'spec.clusterIP', message: /no virtual address/ },
  ])
})

t.test('equal objects give equal meshes, whatever order they are written in', async (t) => {
  const parts = [pod({}), service('clusterIP: 10.96.0.1, selector: {app: web}, ports: [{port: 80}]')]
  t.strictSame(meshOf(parts.join('')), meshOf([...parts].reverse().join('')))
})
