import t from 'tap'
import { formatProblem } from './problem.ts'
import { podYaml, policyYaml } from './test-support.ts'
import { validateFolder } from './validate-folder.ts'

const OPTIONS = { trustDomain: 'cluster.local', clusterId: 'Kubernetes' }

async function problemsOf(directory: string): Promise<readonly string[]> {
  const { problems } = await validateFolder(directory, OPTIONS)
  return problems.map((problem) => `${problem.severity} ${formatProblem(problem)}`)
}

t.test('findings stand where the field is, conflicts name both places', async (t) => {
  const policy = policyYaml(
    '\n  rules:\n  - from:\n    - source:\n        principals:\n        - cluster.local/ns/foo/sa/c',
  )
  const pods = podYaml('a') + podYaml('b')
  t.match(await problemsOf(t.testdir({ 'b.yaml': policy, 'a.yaml': pods })), [
    /^error a.yaml:12:10: status.podIP: 10.0.0.1 is the address of Pod foo\/a too, at a.yaml:6:10$/,
    /^warning b.yaml:10:11: spec.rules\[0\].from\[0\].source.principals\[0\]: there is no service account/,
  ])
})

t.test('an item of a list is found there, and what the translation says at its field', async (t) => {
  const list = `apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: foo}}
- apiVersion: v1
  kind: Pod
  metadata: {name: a, namespace: foo}
  spec:
    containers: []
  status: {podIP: 10.0.0.1}
`
  t.match(await problemsOf(t.testdir({ 'a.yaml': list })), [/^warning a.yaml:8:3: spec.nodeName: not set/])
})

t.test('while a file cannot be read, nothing is said to be missing', async (t) => {
  const policy = policyYaml('{rules: [{from: [{source: {namespaces: [bar]}}]}]}')
  const dir = t.testdir({ 'a.yaml': policy + podYaml('a'), 'b.yaml': 'kind: Pod\n' })
  const report = await validateFolder(dir, OPTIONS)
  t.equal(report.referencesChecked, false)
  t.match(report.problems, [{ file: 'b.yaml', field: 'apiVersion' }])
})

t.test('a folder that is not there is an error', async (t) => {
  await t.rejects(validateFolder('/nonexistent', OPTIONS), /ENOENT/)
})
