import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { collectObjects } from './collect-objects.ts'
import type { KubernetesObject } from './objects.ts'
import { parseFile } from './parse.ts'
import { podYaml, policyYaml } from './test-support.ts'
import { Translator, translate } from './translate.ts'

const OPTIONS = { trustDomain: 'cluster.local', clusterId: 'Kubernetes' }

function object(yaml: string): KubernetesObject {
  const { objects, problems } = parseFile('a.yaml', yaml)
  const [first] = objects
  if (first === undefined) throw new Error(JSON.stringify(problems))
  return first.object
}

const core = (kind: string, metadata: string, rest = '') =>
  `apiVersion: v1\nkind: ${kind}\nmetadata: {${metadata}}\n${rest}\n`
const service = (name: string, spec: string, labels = '', namespace = 'foo') =>
  core('Service', `name: ${name}, namespace: ${namespace}, labels: {${labels}}`, `spec: {${spec}}`)
const gateway = (spec: string, status = '') =>
  `apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: wp, namespace: foo, labels: {istio.io/waypoint-for: all}}
spec: {gatewayClassName: ${spec}, listeners: [{port: 15008, protocol: HBONE, allowedRoutes: {namespaces: {from: All}}}]}\nstatus: {${status}}\n`
const entry = (name: string, namespace: string, spec: string) =>
  `apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: ${name}, namespace: ${namespace}}
spec: {hosts: [x.example], addresses: [10.99.0.1], ports: [{number: 80, name: http}], resolution: STATIC, ${spec}}\n`
const peer = (namespace: string, spec: string) =>
  `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: pa, namespace: ${namespace}}\nspec: {${spec}}\n`
const slice = (endpoint: string) =>
  `apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s, namespace: foo, labels: {kubernetes.io/service-name: bare}}
addressType: IPv4\nports: [{name: http, port: 81}]\nendpoints: [${endpoint}]\n`
const mesh = (text: string) =>
  core('ConfigMap', 'name: istio, namespace: istio-system', `data: {mesh: "${text}"}`)
const inBar = (yaml: string) => yaml.replace('namespace: foo', 'namespace: bar')

/** For each object, the states that it may have; it may also be away. */
const OBJECTS: readonly (readonly KubernetesObject[])[] = [
  [
    podYaml('a'),
    podYaml('a', '', ', annotations: {ambient.istio.io/redirection: pending}'),
    podYaml('a', ', hostNetwork: true'),
  ],
  [
    inBar(podYaml('b')),
    inBar(
      podYaml('b').replace(
        '{app: b}',
        '{app: a, istio.io/use-waypoint: wp, istio.io/use-waypoint-namespace: foo}',
      ),
    ),
  ],
  [
    core('Namespace', 'name: foo, labels: {istio.io/dataplane-mode: ambient}'),
    core('Namespace', 'name: foo, labels: {istio.io/use-waypoint: wp}'),
    core('Namespace', 'name: foo, annotations: {networking.istio.io/traffic-distribution: PreferClose}'),
  ],
  [core('Namespace', 'name: bar, labels: {istio.io/use-waypoint: wp, istio.io/use-waypoint-namespace: foo}')],
  [core('Namespace', 'name: istio-system, labels: {topology.istio.io/network: net}')],
  [core('Node', 'name: node-a, labels: {topology.kubernetes.io/region: r}'), core('Node', 'name: node-a')],
  [
    service('web', 'clusterIP: 10.96.0.1, selector: {app: a}, ports: [{port: 80, targetPort: 8080}]'),
    service('web', 'clusterIP: 10.96.0.1, selector: {app: c}, ports: [{port: 80}]'),
  ],
  [
    service('bare', 'clusterIP: 10.96.0.2, ports: [{name: http, port: 80}]'),
    service('bare', 'clusterIP: 10.96.0.2', 'istio.io/use-waypoint: wp'),
  ],
  [service('wp', 'clusterIP: 10.96.0.3')],
  [gateway('istio-waypoint'), gateway('istio-waypoint', 'addresses: [{value: 10.96.0.9}]'), gateway('istio')],
  [
    entry('e', 'foo', 'workloadSelector: {labels: {app: a}}'),
    entry('e', 'foo', 'endpoints: [{address: 192.0.2.1, labels: {app: x}}]'),
  ],
  [entry('other', 'bar', 'workloadSelector: {labels: {app: a}}')],
  [slice('{addresses: [10.0.0.1], targetRef: {kind: Pod, name: a}}'), slice('{addresses: [192.0.2.9]}')],
  [
    policyYaml('{selector: {matchLabels: {app: a}}}'),
    policyYaml('{}'),
    policyYaml('{targetRefs: [{kind: Service, name: bare}]}'),
  ],
  [
    policyYaml('{selector: {matchLabels: {app: a}}}', '{name: root, namespace: istio-system}'),
    policyYaml('{}', '{name: root, namespace: istio-system}'),
  ],
  [policyYaml('{rules: [{from: [{source: {principals: [old/ns/foo/sa/a]}}]}]}', '{name: q, namespace: bar}')],
  [peer('istio-system', 'mtls: {mode: STRICT}')],
  [
    peer('foo', 'mtls: {mode: PERMISSIVE}'),
    peer('foo', 'selector: {matchLabels: {app: a}}, portLevelMtls: {80: {mode: STRICT}}'),
  ],
  [mesh('trustDomainAliases: [old]'), mesh('rootNamespace: bar')],
].map((states) => states.map(object))

t.test('a mesh that is translated step by step is the one that is translated at once', async (t) => {
  const state = fc.tuple(...OBJECTS.map((states) => fc.constantFrom(undefined, ...states)))
  // From one step to the next, few objects change: what depends on another must be found out by itself.
  const change = fc.record({ index: fc.nat({ max: OBJECTS.length - 1 }), to: fc.nat({ max: 3 }) })
  const steps = fc.array(fc.array(change, { minLength: 1, maxLength: 2 }), { minLength: 1, maxLength: 10 })
  fc.assert(
    fc.property(state, steps, (first, rest) => {
      const translator = new Translator(OPTIONS)
      const now: (KubernetesObject | undefined)[] = [...first]
      for (const changes of [[], ...rest]) {
        for (const { index, to } of changes) now[index] = OBJECTS[index]?.[to]
        const objects = collectObjects(now.filter((object) => object !== undefined))
        assert.deepEqual(translator.translate(objects), translate(objects, OPTIONS))
      }
    }),
    { numRuns: 300 },
  )
  t.pass('for 300 meshes of up to ten steps')
})

t.test('what says the same as before is the same object', async (t) => {
  const translator = new Translator(OPTIONS)
  const [a, b] = [object(podYaml('a')), object(podYaml('b'))]
  const [web, policy] = [object(service('web', 'clusterIP: 10.96.0.1')), object(policyYaml('{}'))]
  const before = translator.translate(collectObjects([a, b, web, policy]))
  const changed = object(podYaml('a').replace('10.0.0.1', '10.0.0.2'))
  const after = translator.translate(collectObjects([changed, b, web, policy]))
  t.match(after.workloads, [{ addresses: ['10.0.0.2'] }, { name: 'b' }])
  t.not(after.workloads[0], before.workloads[0])
  t.equal(after.workloads[1], before.workloads[1])
  t.equal(after.services[0], before.services[0])
  t.equal(after.policies[0], before.policies[0])
  // Everything in the namespace is looked at again, and found to say the same.
  const node = object(core('Node', 'name: node-b, labels: {topology.kubernetes.io/region: r}'))
  const again = translator.translate(collectObjects([changed, b, web, policy, node]))
  t.equal(again.workloads[0], after.workloads[0])
  t.equal(again.services[0], after.services[0])
  t.equal(again.policies[0], after.policies[0])
})
