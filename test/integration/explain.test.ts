import '../support/own-namespaces.ts'
import t from 'tap'
import { runClient } from '../../src/lab/client.ts'
import { runCommand } from '../../src/lab/command.ts'
import { startLab } from '../../src/lab/mesh-lab.ts'
import type { Explanation } from '../../src/mesh/index.ts'

const PROGRAM = new URL('../../bin/ztunnel.js', import.meta.url).pathname

/** From, by way of which node's proxy, to: pod or service. */
const CONNECTIONS = [
  ['foo/sleep', 'node-a', 'httpbin.bar-1:80'],
  ['foo/sleep', 'node-a', 'bar-1/httpbin:8000'],
  ['foo/sleep', 'node-a', 'httpbin-legacy.bar:80'],
  ['foo/web', 'node-a', 'helloworld.bar-3:80'],
  ['foo/web', 'node-a', 'httpbin.bar-1:80'],
  ['foo/sleep-sidecar', 'node-a', 'helloworld.bar-3:80'],
  ['plain/client', 'node-b', 'bar-1/httpbin:8000'],
  ['plain/client', 'node-b', 'bar-3/helloworld:8000'],
] as const

t.test('what explain says is what then happens', async (t) => {
  await using lab = await startLab()
  const outcomes = new Set<boolean>()
  for (const [from, node, to] of CONNECTIONS) {
    const output = await runCommand(process.execPath, [PROGRAM, 'explain', from, to, '--json'], {
      namespace: lab.network.namespace(node),
    })
    const { destination, arrival } = JSON.parse(output) as Explanation
    const [host = '', port = ''] = destination.split(':')
    const request = { kind: 'http', host, port: Number(port), marker: 'explained' } as const
    const report = await runClient(lab.network.namespace(from.replace('/', '.')), request)
    t.equal(report.ok, arrival?.verdict.allowed ?? true, `${from} → ${to}`)
    outcomes.add(report.ok)
  }
  t.equal(outcomes.size, 2, 'some were allowed and some denied')
})
