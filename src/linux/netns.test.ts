import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readdirSync, writeFileSync } from 'node:fs'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { NetworkNamespace } from './netns.ts'
import { addNamespace, ip } from './test-support.ts'

t.test('runs inside and comes back, nested and when the function throws', async (t) => {
  const home = NetworkNamespace.current()
  const [a, b] = [addNamespace('ns-a'), addNamespace('ns-b')]
  t.teardown(() => {
    for (const ns of [home, a, b]) ns.close()
    ip('netns', 'del', 'ns-a')
    ip('netns', 'del', 'ns-b')
  })
  const here = (): bigint => {
    using current = NetworkNamespace.current()
    return current.inode
  }
  const seen = a.run(() => [here(), b.run(here), here()])
  t.same(seen, [a.inode, b.inode, a.inode])
  t.equal(here(), home.inode)
  t.throws(
    () =>
      a.run(() => {
        throw new Error('inside')
      }),
    /inside/,
  )
  t.equal(here(), home.inode)
  t.same(Object.keys(a.run(() => networkInterfaces())), ['lo'])
})

t.test('a child process starts in the namespace', async (t) => {
  const ns = addNamespace('ns-child')
  t.teardown(() => {
    ns.close()
    ip('netns', 'del', 'ns-child')
  })
  const child = ns.run(() => spawnSync('readlink', ['/proc/self/ns/net'], { encoding: 'utf8' }))
  t.equal(child.stdout.trim(), `net:[${ns.inode}]`)
})

t.test('an asynchronous function is refused', async (t) => {
  const ns = NetworkNamespace.current()
  t.teardown(() => ns.close())
  const sneaky: () => unknown = async () => 1
  t.throws(() => ns.run(sneaky), { code: 'asynchronous-in-namespace' })
})

t.test('equality is device and inode; a path that is no namespace is refused', async (t) => {
  const one = NetworkNamespace.current()
  const two = NetworkNamespace.open('/proc/self/ns/net')
  t.ok(one.equals(two))
  t.not(one.fd, two.fd)
  const file = join(mkdtempSync(join(tmpdir(), 'netns-')), 'no-namespace')
  writeFileSync(file, '')
  const before = readdirSync('/proc/self/fd').length
  t.throws(() => NetworkNamespace.open(file), { code: 'not-a-network-namespace' })
  t.throws(() => NetworkNamespace.open('/proc/self/ns/mnt'), { code: 'not-a-network-namespace' })
  t.throws(() => NetworkNamespace.open('/run/netns/missing'), { code: 'system-call' })
  t.equal(readdirSync('/proc/self/fd').length, before)
  one.close()
  one.close()
  t.throws(() => one.fd, { code: 'closed' })
  two.close()
})

t.test('a descriptor that is no namespace fails when it is used', async (t) => {
  const ns = NetworkNamespace.fromFd(openSync('/dev/null', 'r'))
  t.throws(() => ns.run(() => 1), { code: 'system-call', message: /EINVAL/ })
  ns.close()
  const fd = openSync('/dev/null', 'r')
  closeSync(fd)
  t.throws(() => NetworkNamespace.fromFd(fd), { code: 'not-a-network-namespace' })
})
