import { mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { NetworkNamespace } from '../linux/index.ts'
import { addNamespace, ip } from '../linux/test-support.ts'
import { ZdsClient } from './client.ts'
import { type ZdsPod, ZdsServer, type ZdsServerOptions } from './server.ts'

const directory = mkdtempSync(join(tmpdir(), 'zds-'))
let servers = 0

type Overrides = Omit<ZdsServerOptions, 'path'>

/** A server and the means to wait for a proxy to be in step. */
function serve(t: { teardown(fn: () => void): unknown }, options: Overrides = {}) {
  const path = join(directory, `${servers++}.sock`)
  const synced: (() => void)[] = []
  const server = ZdsServer.listen({ ...options, path, onSynced: () => synced.shift()?.() })
  t.teardown(() => server.close())
  return { server, path, nextSync: () => new Promise<void>((resolve) => synced.push(resolve)) }
}

/** A proxy that answers every request as told and keeps a record. */
async function proxy(path: string, answer: (kind: string, uid: string) => string = () => '') {
  const client = await ZdsClient.connect(path)
  const seen: string[] = []
  const inodes = new Map<string, bigint>()
  client.hello()
  const ended = (async () => {
    for (;;) {
      const received = await client.next()
      if (received === undefined) return
      const { request, netns } = received
      const uid = request.kind === 'snapshot-sent' ? '' : request.uid
      seen.push(`${request.kind} ${uid}`.trim())
      if (netns !== undefined) inodes.set(uid, netns.inode)
      netns?.close()
      client.ack(answer(request.kind, uid))
    }
  })()
  return { client, seen, inodes, ended }
}

function pod(uid: string, netns: NetworkNamespace): ZdsPod {
  return { uid, name: uid, namespace: 'default', serviceAccount: 'sa', netns }
}

t.test('snapshot, then changes, the namespace being the very one', async (t) => {
  const namespace = addNamespace('zds-pod')
  t.teardown(() => {
    namespace.close()
    ip('netns', 'del', 'zds-pod')
  })
  const { server, path, nextSync } = serve(t, { pods: [pod('a', namespace)], keep: ['k'] })
  const synced = nextSync()
  const near = await proxy(path)
  await synced
  t.same(near.seen, ['keep k', 'add a', 'snapshot-sent'])
  t.equal(near.inodes.get('a'), namespace.inode)
  const own = NetworkNamespace.current()
  await server.add(pod('b', own))
  t.equal(near.inodes.get('b'), own.inode)
  await server.remove('a')
  own.close()
  t.same(near.seen.slice(3), ['add b', 'del a'])
  near.client.close()
  await near.ended
})

t.test('the proxy’s words reach the caller, and the connection lives on', async (t) => {
  const { server, path, nextSync } = serve(t)
  const netns = NetworkNamespace.current()
  t.teardown(() => netns.close())
  const synced = nextSync()
  await proxy(path, (_, uid) => (uid === 'bad' ? 'failure to start proxy : port taken' : ''))
  await synced
  await t.rejects(server.add(pod('bad', netns)), { code: 'refused-by-proxy', message: /port taken/ })
  await server.add(pod('good', netns))
  t.same(server.proxies, [{ proxy: 1, state: 'live' }])
})

t.test('without a proxy adding fails but is remembered for the next snapshot', async (t) => {
  const { server, path, nextSync } = serve(t)
  const netns = NetworkNamespace.current()
  t.teardown(() => netns.close())
  await t.rejects(server.add(pod('early', netns)), { code: 'no-proxy' })
  const synced = nextSync()
  const late = await proxy(path)
  await synced
  t.same(late.seen, ['add early', 'snapshot-sent'])
})

t.test('of two proxies the newest gets additions, both get removals', async (t) => {
  const { server, path, nextSync } = serve(t)
  const netns = NetworkNamespace.current()
  t.teardown(() => netns.close())
  let synced = nextSync()
  const old = await proxy(path)
  await synced
  synced = nextSync()
  const young = await proxy(path)
  await synced
  await server.add(pod('p', netns))
  await server.remove('p')
  t.same(old.seen, ['snapshot-sent', 'del p'])
  t.same(young.seen, ['snapshot-sent', 'add p', 'del p'])
  young.client.close()
  await young.ended
  await eventually(() => server.proxies.length === 1)
  await server.add(pod('q', netns))
  t.equal(old.seen.at(-1), 'add q', 'the previous one takes over')
})

t.test('concurrent calls are sent one by one', async (t) => {
  const { server, path, nextSync } = serve(t)
  const netns = NetworkNamespace.current()
  t.teardown(() => netns.close())
  const synced = nextSync()
  const near = await proxy(path)
  await synced
  const before = readdirSync('/proc/self/fd').length
  const names = Array.from({ length: 100 }, (_, index) => `pod-${index}`)
  await Promise.all(names.map((name) => server.add(pod(name, netns))))
  t.same(
    near.seen.slice(1),
    names.map((name) => `add ${name}`),
  )
  t.equal(readdirSync('/proc/self/fd').length, before, 'no descriptor is left')
})

/** Bounded wait for a state that has no event. */
async function eventually(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 10_000 && !condition(); turn++)
    await new Promise((resolve) => setImmediate(resolve))
}
