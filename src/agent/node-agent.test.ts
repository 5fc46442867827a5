import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import t from 'tap'
import { redirectionInPlace } from '../linux/index.ts'
import { addNamespace, ip } from '../linux/test-support.ts'
import { FolderPods } from './folder-pods.ts'
import { NodeAgent } from './node-agent.ts'
import { recordingLogger, TestProxy, testFolder, untilState } from './test-support.ts'

const NETNS = '/run/netns'

type Teardown = { teardown(fn: () => unknown): unknown }

/** A named namespace that is gone at the end, whatever the test did with it. */
function namespace(t: Teardown, name: string): void {
  addNamespace(name).close()
  t.teardown(() => {
    if (existsSync(`${NETNS}/${name}`)) ip('netns', 'del', name)
  })
}

async function start(t: Teardown, folder = testFolder()) {
  const logger = recordingLogger()
  const source = await FolderPods.watch({
    directory: folder.directory,
    node: 'node-a',
    netnsDirectory: NETNS,
    dnsCapture: false,
    logger,
  })
  const agent = await NodeAgent.start({ source, zdsSocket: folder.zdsSocket, logger })
  t.teardown(async () => {
    await agent.close()
    await source.close()
  })
  return { folder, agent, logger }
}

/** What the proxy was told before the snapshot's end. The agent's own retry may name a pod twice. */
function beforeSnapshot(proxy: TestProxy): string[] {
  return [...new Set(proxy.log.slice(0, proxy.log.indexOf('snapshot-sent')))]
}

t.test('a pod gets its rules first and is handed over when a proxy comes', async (t) => {
  namespace(t, 'ns.early')
  const folder = testFolder()
  folder.pod('early')
  const { agent } = await start(t, folder)
  t.equal(await redirectionInPlace(`${NETNS}/ns.early`), true, 'in place before ZDS is served')
  await untilState(agent, 'ns/early', 'awaiting-proxy')
  const proxy = await TestProxy.connect(folder.zdsSocket)
  t.teardown(() => proxy.close())
  await untilState(agent, 'ns/early', 'captured')
  await proxy.until(() => proxy.log.includes('snapshot-sent'))
  t.same(beforeSnapshot(proxy), ['add ns/early'])
  const inode = execFileSync('stat', ['-Lc', '%i', `${NETNS}/ns.early`], { encoding: 'utf8' })
  t.equal(String(proxy.pods.get('ns/early')?.netns.inode), inode.trim())
})

t.test('a pod follows its files: enrolled, other account, no longer ambient', async (t) => {
  namespace(t, 'ns.web')
  const { folder, agent } = await start(t)
  const proxy = await TestProxy.connect(folder.zdsSocket)
  t.teardown(() => proxy.close())
  folder.pod('web')
  await untilState(agent, 'ns/web', 'captured')
  folder.pod('web', { account: 'other' })
  await proxy.until(() => proxy.pods.get('ns/web')?.account === 'other')
  t.ok(proxy.log.includes('del ns/web'), 'a proxy would keep the identity of a pod that it knows')
  folder.pod('web', { labels: 'istio.io/dataplane-mode: none' })
  await untilState(agent, 'ns/web', undefined)
  t.equal(proxy.pods.has('ns/web'), false)
  t.equal(await redirectionInPlace(`${NETNS}/ns.web`), false)
  const left = execFileSync('ip', ['netns', 'exec', 'ns.web', 'iptables-save'], { encoding: 'utf8' })
  t.notMatch(left, /ISTIO/)
  folder.pod('web')
  await untilState(agent, 'ns/web', 'captured')
})

t.test('a namespace that comes later, goes, and comes again', async (t) => {
  const { folder, agent, logger } = await start(t)
  const proxy = await TestProxy.connect(folder.zdsSocket)
  t.teardown(() => proxy.close())
  folder.pod('late')
  await untilState(agent, 'ns/late', 'waiting-for-namespace')
  namespace(t, 'ns.late')
  await untilState(agent, 'ns/late', 'captured')
  const first = proxy.pods.get('ns/late')?.netns.inode
  ip('netns', 'del', 'ns.late')
  await untilState(agent, 'ns/late', 'waiting-for-namespace')
  await proxy.until(() => !proxy.pods.has('ns/late'))
  addNamespace('ns.late').close()
  await untilState(agent, 'ns/late', 'captured')
  t.not(proxy.pods.get('ns/late')?.netns.inode, first)
  t.equal(await redirectionInPlace(`${NETNS}/ns.late`), true)
  t.ok(logger.lines.some((line) => line.includes('ns.late') && line.includes('ENOENT')))
})

t.test('what the proxy says of a pod is in its status, and it is tried again', async (t) => {
  namespace(t, 'ns.picky')
  const { folder, agent } = await start(t)
  let answers = 0
  const proxy = await TestProxy.connect(folder.zdsSocket, (uid) => {
    if (uid === '') return ''
    return ++answers < 3 ? 'failure to start proxy : port 15008 taken' : ''
  })
  t.teardown(() => proxy.close())
  folder.pod('picky')
  await proxy.until(() => answers === 1)
  await untilState(agent, 'ns/picky', 'captured')
  t.ok(answers >= 3)
})

t.test('a restarted agent does not cut what its proxy serves', async (t) => {
  namespace(t, 'ns.stays')
  const folder = testFolder()
  folder.pod('stays')
  folder.pod('absent')
  const first = await start(t, folder)
  const proxy = await TestProxy.connect(folder.zdsSocket)
  await untilState(first.agent, 'ns/stays', 'captured')
  const before = readdirSync('/proc/self/fd').length
  await first.agent.close()
  await proxy.ended
  t.equal(await redirectionInPlace(`${NETNS}/ns.stays`), true, 'the rules stay')
  t.notOk(existsSync(folder.zdsSocket))
  t.ok(readdirSync('/proc/self/fd').length < before)
  const second = await start(t, folder)
  const again = await TestProxy.connect(folder.zdsSocket)
  t.teardown(() => again.close())
  await untilState(second.agent, 'ns/stays', 'captured')
  await again.until(() => again.log.includes('snapshot-sent'))
  t.same(beforeSnapshot(again), ['keep ns/absent', 'add ns/stays'])
})

t.test('cleanup releases everything', async (t) => {
  namespace(t, 'ns.clean')
  const folder = testFolder()
  folder.pod('clean')
  const { agent } = await start(t, folder)
  const proxy = await TestProxy.connect(folder.zdsSocket)
  await untilState(agent, 'ns/clean', 'captured')
  await agent.close({ cleanup: true })
  await proxy.ended
  t.equal(proxy.log.at(-1), 'del ns/clean')
  const left = execFileSync('ip', ['netns', 'exec', 'ns.clean', 'iptables-save'], { encoding: 'utf8' })
  t.notMatch(left, /ISTIO/)
  t.same(agent.status(), [])
})

t.test('when the proxy goes its pods wait for another', async (t) => {
  namespace(t, 'ns.lone')
  const folder = testFolder()
  folder.pod('lone')
  const { agent } = await start(t, folder)
  const proxy = await TestProxy.connect(folder.zdsSocket)
  await untilState(agent, 'ns/lone', 'captured')
  proxy.close()
  await untilState(agent, 'ns/lone', 'awaiting-proxy')
  t.match(agent.status()[0]?.error, /no node proxy is connected/)
  const next = await TestProxy.connect(folder.zdsSocket)
  t.teardown(() => next.close())
  await untilState(agent, 'ns/lone', 'captured')
  t.equal(agent.status()[0]?.error, undefined)
})

t.test('a proxy that goes before it knows all pods has not taken any', async (t) => {
  namespace(t, 'ns.brief')
  const folder = testFolder()
  folder.pod('brief')
  const { agent } = await start(t, folder)
  const proxy = await TestProxy.connect(folder.zdsSocket, async (uid) => {
    if (uid !== '') return ''
    await untilState(agent, 'ns/brief', 'captured')
    proxy.close()
    return ''
  })
  await t.rejects(proxy.ended, { code: 'connection-lost' })
  await untilState(agent, 'ns/brief', 'awaiting-proxy')
})

t.test("the node's own network is never redirected, whatever a file says", async (t) => {
  const folder = testFolder()
  folder.pod('host', { annotations: 'ztunnel-node.io/netns: /proc/thread-self/ns/net' })
  const { agent } = await start(t, folder)
  t.match(agent.status(), [
    { uid: 'ns/host', state: 'waiting-for-namespace', error: /is the network of the node itself/ },
  ])
  t.equal(await redirectionInPlace('/proc/thread-self/ns/net'), false)
})
