import '../support/own-namespaces.ts'
import t from 'tap'
import { runCommand } from '../../src/lab/command.ts'
import { startLab } from '../../src/lab/mesh-lab.ts'
import { until } from '../support/until.ts'

t.test('a pod whose rules are flushed is captured again, and its open mesh goes on', async (t) => {
  await using lab = await startLab()
  const namespace = lab.network.namespace('foo.sleep')
  const target = { to: 'bar-3/helloworld', by: 'service', port: 'http' } as const
  t.equal(await isCaptured(), true)
  const repaired = lab
    .component('agent@node-a')
    .waitForLine((line) => line.includes('redirection was damaged and is repaired'), 'repair the redirection')
  await runCommand('iptables', ['-w', '-t', 'nat', '-F'], { namespace })
  await repaired
  t.equal(await isCaptured(), true, 'the same connection is carried by the proxy again')

  async function isCaptured(): Promise<boolean> {
    const report = await lab.get('foo/sleep', target)
    if (!report.ok) return false
    const source = `${report.localAddress}:${report.localPort}`
    const carried = () =>
      lab.proxyLogs().some((entry) => entry.direction === 'outbound' && entry.source === source)
    await until(carried, `a record of ${source}`)
    return true
  }
})
