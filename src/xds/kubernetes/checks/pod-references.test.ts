import t from 'tap'
import { podYaml } from '../test-support.ts'
import { podReferences } from './pod-references.ts'
import { type Cases, findingsOf } from './test-support.ts'

const node = (name: string) => `---\napiVersion: v1\nkind: Node\nmetadata: {name: ${name}}\n`
const account = (name: string, namespace = 'foo') =>
  `---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: ${name}, namespace: ${namespace}}\n`

const CASES: Cases = [
  ['a folder that describes neither', podYaml('a')],
  ['a pod on a node, with an account', podYaml('a') + node('node-a') + account('a')],
  [
    'a node that is not there',
    podYaml('a') + node('node-b'),
    /^warning spec.nodeName: there is no Node node-a/,
  ],
  [
    'an account that is not there',
    podYaml('a') + account('b'),
    /^warning spec.serviceAccountName: there is no ServiceAccount foo\/a/,
  ],
  ['accounts of another namespace', podYaml('a') + account('a', 'bar')],
  ['the account that every namespace has', podYaml('a').replace('serviceAccountName: a', '') + account('b')],
  ['a pod that has ended', podYaml('a').replace('podIP:', 'phase: Failed, podIP:') + node('node-b')],
]

for (const [name, yaml, ...expected] of CASES) {
  t.test(name, async (t) => {
    const findings = findingsOf(podReferences, yaml)
    t.equal(findings.length, expected.length, findings.join('\n'))
    t.match(findings, expected)
  })
}
