import { execFileSync } from 'node:child_process'
import t from 'tap'
import { redirectionInPlace } from '../linux/index.ts'
import { addNamespace, ip } from '../linux/test-support.ts'
import { FolderPods } from './folder-pods.ts'
import { NodeAgent } from './node-agent.ts'
import { recordingLogger, TestProxy, testFolder, untilState } from './test-support.ts'

const NETNS = '/run/netns'
const NAME = 'ns.broken'

/** Longer than the agent leaves between two comparisons. */
const PATIENCE_MS = 15_000

t.test('rules that a pod lost are put back, and the log says so', async (t) => {
  addNamespace(NAME).close()
  const folder = testFolder()
  folder.pod('broken')
  const logger = recordingLogger()
  const source = await FolderPods.watch({
    directory: folder.directory,
    node: 'node-a',
    netnsDirectory: NETNS,
    dnsCapture: false,
    logger,
  })
  const agent = await NodeAgent.start({ source, zdsSocket: folder.zdsSocket, logger })
  const proxy = await TestProxy.connect(folder.zdsSocket)
  t.teardown(async () => {
    proxy.close()
    await agent.close()
    await source.close()
    ip('netns', 'del', NAME)
  })
  await untilState(agent, 'ns/broken', 'captured')

  for (const damage of ['iptables -t nat -F', 'ip rule del pref 32764', 'ip6tables -t nat -F']) {
    execFileSync('ip', ['netns', 'exec', NAME, 'sh', '-c', damage])
    t.equal(await sound(), false, damage)
    const deadline = performance.now() + PATIENCE_MS
    while (!(await sound()) && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 100))
    t.equal(await sound(), true, `repaired after: ${damage}`)
  }
  const repairs = logger.lines.filter((line) => line.startsWith('redirection was damaged and is repaired'))
  t.equal(repairs.length, 3)
  t.match(repairs[0], '"name":"broken"')
  t.same(
    proxy.log.filter((line) => line.startsWith('del')),
    [],
    'the proxy kept the pod',
  )

  function sound(): Promise<boolean> {
    return redirectionInPlace(`${NETNS}/${NAME}`, { ipv6: 'if-possible' })
  }
})
