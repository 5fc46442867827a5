import t from 'tap'
import { parseFile } from './parse.ts'
import { meshOf, objectsOf, podYaml, policyYaml } from './test-support.ts'
import { Translator } from './translate.ts'

function configMap(mesh: string, metadata = 'name: istio, namespace: istio-system'): string {
  const lines = mesh.split('\n').map((line) => `    ${line}\n`)
  return `---\napiVersion: v1\nkind: ConfigMap\nmetadata: {${metadata}}\ndata:\n  mesh: |\n${lines.join('')}`
}

t.test('the MeshConfig names the root namespace, whose policies hold for the mesh', async (t) => {
  const policy = policyYaml('{}', '{name: p, namespace: root}')
  const scope = (text: string) => meshOf(policy + text).policies[0]?.scope
  t.equal(scope(''), 'NAMESPACE')
  t.equal(scope(configMap('rootNamespace: root\ndefaultConfig: {concurrency: 2}')), 'GLOBAL')
  t.equal(scope(configMap('rootNamespace: root', 'name: istio, namespace: foo')), 'NAMESPACE')
  t.equal(scope(configMap('rootNamespace: root', 'name: other, namespace: istio-system')), 'NAMESPACE')
})

t.test('the network is that of istiod’s namespace, whatever the root namespace', async (t) => {
  const namespaces = ['istio-system', 'root'].map(
    (name) =>
      `---\napiVersion: v1\nkind: Namespace\nmetadata: {name: ${name}, labels: {topology.istio.io/network: of-${name}}}\n`,
  )
  const { workloads } = meshOf(namespaces.join('') + configMap('rootNamespace: root') + podYaml('a'))
  t.match(workloads, [{ network: 'of-istio-system' }])
})

t.test(
  'a trust domain that the authority does not issue for does not come into force, and that is said',
  async (t) => {
    t.strictSame(meshOf(configMap('trustDomain: cluster.local')).warnings, [])
    const { workloads, warnings } = meshOf(
      configMap('trustDomain: other\ntrustDomainAliases: [old]') + podYaml('a'),
    )
    t.match(workloads, [{ trustDomain: 'cluster.local' }])
    t.match(warnings, [
      { field: 'data.mesh', message: /"other" is not this server's, .* when the server starts anew/ },
    ])
    t.equal(warnings.length, 1)
  },
)

t.test(
  'the trust domain is what is given, else the MeshConfig’s of the first state, else Istio’s',
  async (t) => {
    const translator = () => new Translator({ clusterId: 'Kubernetes' })
    const trustDomainOf = (text: string, of = translator()) => of.translate(objectsOf(text)).trustDomains[0]
    t.equal(trustDomainOf(podYaml('a')), 'cluster.local')
    const later = translator()
    t.equal(trustDomainOf(configMap('trustDomain: td') + podYaml('a'), later), 'td')
    t.match(later.translate(objectsOf(configMap('trustDomain: other') + podYaml('a'))), {
      workloads: [{ trustDomain: 'td' }],
      warnings: [{ message: /"other" is not this server's/ }],
    })
    const given = new Translator({ clusterId: 'Kubernetes', trustDomain: 'given' })
    t.equal(trustDomainOf(configMap('trustDomain: td'), given), 'given')
  },
)

t.test('a field of the MeshConfig that is nearly one that is read is told of', async (t) => {
  const { warnings } = meshOf(configMap('trustDomainAlias: [old]\nrootnamespace: root\nenableTracing: true'))
  t.match(warnings, [
    { field: 'data.mesh', message: /^trustDomainAlias: unknown field.* is "trustDomainAliases" meant/ },
    { field: 'data.mesh', message: /^rootnamespace: .* is "rootNamespace" meant/ },
  ])
  t.equal(warnings.length, 2)
})

t.test('a MeshConfig that cannot be read is an error; other ConfigMaps are nobody’s business', async (t) => {
  const problems = (text: string) => parseFile('a.yaml', text).problems
  t.match(problems(configMap('rootNamespace: A_B')), [
    { severity: 'error', field: 'data.mesh', message: /^rootNamespace: expected a DNS label/ },
  ])
  t.match(problems(configMap('a: [')), [{ severity: 'error', message: 'expected a MeshConfig' }])
  t.match(problems(configMap('- 1')), [{ severity: 'error', message: 'expected a MeshConfig' }])
  t.strictSame(problems(configMap('a: [', 'name: kube-root-ca.crt')), [])
})

t.test('a pod is where its node is', async (t) => {
  const node = `---
apiVersion: v1
kind: Node
metadata: {name: node-a, labels: {topology.kubernetes.io/region: r, topology.kubernetes.io/zone: z, topology.istio.io/subzone: s}}
spec: {podCIDR: 10.0.0.0/24}
`
  t.match(meshOf(node + podYaml('a')).workloads, [{ locality: { region: 'r', zone: 'z', subzone: 's' } }])
  const elsewhere = node.replace('node-a', 'ip-10-0-0-1.example')
  t.match(meshOf(elsewhere + podYaml('a')).workloads, [{ locality: { region: '', zone: '', subzone: '' } }])
})
