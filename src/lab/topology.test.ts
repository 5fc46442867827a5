import t from 'tap'
import { defaultManifests } from './app.ts'
import { loadTopology, namespaceOf } from './topology.ts'

t.test("the lab's own manifests", async (t) => {
  const topology = await loadTopology(defaultManifests())
  const modes = Object.fromEntries(topology.pods.map(({ id, node, mode }) => [id, `${mode} on ${node}`]))
  t.same(modes, {
    'bar-1/httpbin': 'ambient on node-b',
    'bar-2/helloworld-v1': 'ambient on node-d',
    'bar-2/helloworld-v2': 'ambient on node-d',
    'bar-2/waypoint': 'plain on node-c',
    'bar-3/helloworld': 'ambient on node-d',
    'bar/httpbin': 'sidecar on node-b',
    'bar/httpbin-legacy': 'sidecar on node-b',
    'foo/sleep': 'ambient on node-a',
    'foo/sleep-sidecar': 'sidecar on node-a',
    'foo/web': 'ambient on node-a',
    'plain/client': 'plain on node-b',
  })
  t.same(
    topology.pods.filter(({ gateway }) => gateway !== undefined).map(({ id, gateway }) => [id, gateway]),
    [['bar-2/waypoint', 'bar-2/waypoint']],
  )
  t.equal(namespaceOf(topology, 'foo/sleep'), 'foo.sleep')
  t.equal(namespaceOf(topology, 'node-a'), 'node-a')
  t.throws(() => namespaceOf(topology, 'foo/nobody'), { code: 'unknown-namespace', message: /foo\/sleep/ })
})

const pod = (node: string, status: string): string => `
apiVersion: v1
kind: Pod
metadata: { namespace: foo, name: p }
spec: { nodeName: ${node}, containers: [] }
${status}
`

t.test('pods that the lab cannot place are refused by name', async (t) => {
  const load = (text: string) => loadTopology(t.testdir({ 'pod.yaml': text }))
  const code = 'bad-manifest'
  await t.rejects(load(pod('node-z', 'status: { podIP: 10.244.1.9 }')), {
    code,
    message: /foo\/p .*node-z.*node-a/,
  })
  await t.rejects(load(pod('node-a', '')), { code, message: /foo\/p has no status\.podIP/ })
  await t.rejects(load(pod('node-a', 'status: { podIP: 10.244.2.9 }')), {
    code,
    message: /not in 10\.244\.1\.0\/24/,
  })
  await t.rejects(load('kind: ['), { code, message: /pod\.yaml:1/ })
})
