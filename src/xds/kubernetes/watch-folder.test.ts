import { writeFileSync } from 'node:fs'
import fs, { mkdir, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type FolderSnapshot, loadFolder } from './folder.ts'
import { formatProblem } from './problem.ts'
import { podYaml, policyYaml } from './test-support.ts'
import { watchFolder } from './watch-folder.ts'

interface Watched {
  readonly snapshot: () => FolderSnapshot
  /** Waits until the snapshot is as wanted; only file system events make it change. */
  until(wanted: (snapshot: FolderSnapshot) => boolean): Promise<void>
  /** The pods of each snapshot, in order. */
  readonly seen: readonly string[]
}

/** With periodic looking switched off, so that events are what is tested. */
async function watched(t: Test, directory: string, rescanMs = 3_600_000, debounceMs = 20): Promise<Watched> {
  const listeners = new Set<() => void>()
  const seen: string[] = []
  const alive = setInterval(() => {}, 1000)
  const watch = await watchFolder(directory, {
    debounceMs,
    rescanMs,
    onChange: (now) => {
      seen.push(names(now))
      for (const listener of [...listeners]) listener()
    },
    onError: (error) => t.fail(error.message),
  })
  t.teardown(async () => {
    clearInterval(alive)
    await watch.close()
  })
  const until = (wanted: (snapshot: FolderSnapshot) => boolean) =>
    new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`still ${names(watch.snapshot)}`)), 30_000)
      const look = () => {
        if (!wanted(watch.snapshot)) return
        clearTimeout(timer)
        listeners.delete(look)
        resolve()
      }
      listeners.add(look)
      look()
    })
  return { snapshot: () => watch.snapshot, until, seen }
}

function names(snapshot: FolderSnapshot): string {
  return [...snapshot.objects.pods.keys()].join(' ')
}

const problems = (snapshot: FolderSnapshot) => snapshot.problems.map(formatProblem)

t.test('new, changed, renamed and deleted files take effect, in folders made later too', async (t) => {
  const dir = t.testdir({ 'a.yaml': podYaml('a'), 'ignored.txt': 'x', '.hidden.yaml': 'x' })
  const w = await watched(t, dir)
  t.equal(names(w.snapshot()), 'foo/a')
  await writeFile(join(dir, 'b.yml'), podYaml('b'))
  await w.until((now) => names(now) === 'foo/a foo/b')
  await mkdir(join(dir, 'later', 'deep'), { recursive: true })
  await writeFile(join(dir, 'later', 'deep', 'c.yaml'), podYaml('c'))
  await w.until((now) => names(now) === 'foo/a foo/b foo/c')
  await writeFile(join(dir, '.a.tmp'), podYaml('a2'))
  await rename(join(dir, '.a.tmp'), join(dir, 'a.yaml'))
  await w.until((now) => names(now) === 'foo/a2 foo/b foo/c')
  await unlink(join(dir, 'b.yml'))
  await w.until((now) => names(now) === 'foo/a2 foo/c')
  await rm(join(dir, 'later'), { recursive: true })
  await w.until((now) => names(now) === 'foo/a2')
})

t.test('a bad file keeps its last good objects, is reported, and takes effect once mended', async (t) => {
  const dir = t.testdir({ 'a.yaml': podYaml('a'), 'b.yaml': podYaml('b') })
  const w = await watched(t, dir)
  await writeFile(join(dir, 'a.yaml'), podYaml('a3').replace('10.0.0.1', 'nonsense'))
  await w.until((now) => now.problems.length > 0)
  t.equal(names(w.snapshot()), 'foo/a foo/b')
  t.strictSame(problems(w.snapshot()), [
    'a.yaml:6:10: status.podIP: expected an IPv4 or IPv6 address, got "nonsense"',
  ])
  t.match(w.snapshot().files, [
    { file: 'a.yaml', state: 'stale', objects: 1 },
    { file: 'b.yaml', state: 'current' },
  ])
  t.equal(w.snapshot().complete, true)
  await writeFile(join(dir, 'b.yaml'), podYaml('b2'))
  await w.until((now) => names(now) === 'foo/a foo/b2')
  await writeFile(join(dir, 'a.yaml'), podYaml('a3'))
  await w.until((now) => names(now) === 'foo/a3 foo/b2')
  t.strictSame(problems(w.snapshot()), [])
})

t.test('of a file with an error, what is in error stays as it was and the rest takes effect', async (t) => {
  const dir = t.testdir({ 'a.yaml': podYaml('a') + podYaml('b') + podYaml('c') })
  const w = await watched(t, dir)
  const bad = podYaml('b').replace('10.0.0.1', 'nonsense')
  await writeFile(join(dir, 'a.yaml'), podYaml('a').replace('10.0.0.1', '10.0.0.9') + bad)
  await w.until((now) => now.problems.length > 0)
  t.equal(names(w.snapshot()), 'foo/a foo/b', 'c was withdrawn')
  const { pods } = w.snapshot().objects
  t.match(pods.get('foo/a'), { status: { podIPs: ['10.0.0.9'] } })
  t.match(pods.get('foo/b'), { status: { podIPs: ['10.0.0.1'] } })
  t.match(w.snapshot().files, [{ state: 'stale', objects: 2 }])
  const b = pods.get('foo/b')
  t.match(b && w.snapshot().locate(b), { file: 'a.yaml', line: 8 }, 'where it stands now')
  await writeFile(join(dir, 'a.yaml'), bad)
  await w.until((now) => names(now) === 'foo/b')
  await writeFile(join(dir, 'a.yaml'), `${podYaml('b')}---\nkind: [`)
  await w.until((now) => problems(now).some((text) => text.startsWith('a.yaml:8')))
  t.equal(names(w.snapshot()), 'foo/b')
})

t.test('a new object in error holds back the rest of its file, which may rely on it', async (t) => {
  const dir = t.testdir({ 'a.yaml': podYaml('a') })
  const w = await watched(t, dir)
  const bad = policyYaml('{actoin: DENY}')
  await writeFile(join(dir, 'a.yaml'), podYaml('a') + podYaml('b') + bad)
  await w.until((now) => now.problems.length > 0)
  t.equal(names(w.snapshot()), 'foo/a')
  await writeFile(join(dir, 'a.yaml'), podYaml('a') + podYaml('b') + policyYaml('{}'))
  await w.until((now) => names(now) === 'foo/a foo/b')
  t.equal(w.snapshot().objects.authorizationPolicies.size, 1)
})

t.test('an object whose own name is in error is none that is known', async (t) => {
  const dir = t.testdir({ 'a.yaml': podYaml('a') + podYaml('b') })
  const w = await watched(t, dir)
  await writeFile(join(dir, 'a.yaml'), podYaml('a2') + podYaml('b').replace('namespace:', 'namepsace:'))
  await w.until((now) => now.problems.length > 0)
  t.equal(names(w.snapshot()), 'foo/a foo/b')
})

t.test('an object that a second file defines later does not replace the one in force', async (t) => {
  const dir = t.testdir({ 'b.yaml': podYaml('a') })
  const w = await watched(t, dir)
  await writeFile(join(dir, 'a.yaml'), podYaml('a').replace('10.0.0.1', '10.0.0.2'))
  await w.until((now) => now.problems.length > 0)
  t.match(problems(w.snapshot()), [
    /^a.yaml:2:1: metadata.name: Pod a is defined in b.yaml:2 too, and that one is in force/,
  ])
  t.match(w.snapshot().objects.pods.get('foo/a'), { status: { podIPs: ['10.0.0.1'] } })
  await writeFile(join(dir, 'b.yaml'), podYaml('a').replace('10.0.0.1', '10.0.0.3'))
  await w.until((now) => now.objects.pods.get('foo/a')?.status.podIPs[0] === '10.0.0.3')
  await unlink(join(dir, 'b.yaml'))
  await w.until((now) => now.objects.pods.get('foo/a')?.status.podIPs[0] === '10.0.0.2')
  t.strictSame(problems(w.snapshot()), [])
})

t.test('a file that never was good makes the folder incomplete', async (t) => {
  const snapshot = await loadFolder(t.testdir({ 'a.yaml': podYaml('a'), 'b.yaml': 'kind: [' }))
  t.equal(names(snapshot), 'foo/a')
  t.equal(snapshot.complete, false)
  t.match(snapshot.files, [{ state: 'current' }, { file: 'b.yaml', state: 'refused', objects: 0 }])
})

t.test('an object that two files define is reported and the first file wins', async (t) => {
  const second = podYaml('a').replace('10.0.0.1', '10.0.0.2')
  const snapshot = await loadFolder(t.testdir({ 'a.yaml': podYaml('a'), 'z.yaml': second }))
  t.match(snapshot.objects.pods.get('foo/a'), { status: { podIPs: ['10.0.0.1'] } })
  t.match(problems(snapshot), [/^z.yaml:2:1: metadata.name: Pod a is defined in a.yaml:2 too/])
})

t.test(
  'a folder that is away for a moment does not empty the mesh, and that is a problem meanwhile',
  async (t) => {
    const root = t.testdir({ mesh: { 'a.yaml': podYaml('a') } })
    const dir = join(root, 'mesh')
    const w = await watched(t, dir, 20)
    await rename(dir, join(root, 'away'))
    await w.until((now) => now.problems.length > 0)
    t.match(w.snapshot().problems, [
      { severity: 'error', file: dir, message: /cannot be listed: ENOENT.*stays in force/ },
    ])
    t.equal(names(w.snapshot()), 'foo/a')
    t.equal(w.snapshot().complete, true)
    await writeFile(join(root, 'away', 'b.yaml'), podYaml('b'))
    await rename(join(root, 'away'), dir)
    await w.until((now) => names(now) === 'foo/a foo/b')
    t.strictSame(problems(w.snapshot()), [])
  },
)

t.test(
  'another folder in the place of one, as by a link that is moved on, is read and watched',
  async (t) => {
    const root = t.testdir({ v1: { 'a.yaml': podYaml('a') }, v2: { 'b.yaml': podYaml('b') } })
    const dir = join(root, 'current')
    await symlink('v1', dir)
    const w = await watched(t, dir, 20)
    await symlink('v2', join(root, 'next'))
    await rename(join(root, 'next'), dir)
    await w.until((now) => names(now) === 'foo/b')
    await writeFile(join(root, 'v2', 'c.yaml'), podYaml('c'))
    await w.until((now) => names(now) === 'foo/b foo/c')
  },
)

t.test('a file that is renamed keeps its objects, and they are never away', async (t) => {
  const dir = t.testdir({ 'a.yaml': podYaml('a') })
  const w = await watched(t, dir)
  await rename(join(dir, 'a.yaml'), join(dir, 'z.yaml'))
  await w.until((now) => now.files[0]?.file === 'z.yaml')
  t.strictSame(new Set(w.seen), new Set(['foo/a']))
})

t.test('many files at once are few changes, and all of them arrive', async (t) => {
  const dir = t.testdir({ 'a.yaml': podYaml('a') })
  const w = await watched(t, dir)
  await mkdir(join(dir, 'many'))
  const all = Array.from({ length: 300 }, (_, index) => `p${index}`)
  await Promise.all(all.map((name) => writeFile(join(dir, 'many', `${name}.yaml`), podYaml(name))))
  await w.until((now) => now.objects.pods.size === 301)
  t.ok(w.seen.length < 100, `${w.seen.length} changes for 300 files`)
  await rm(join(dir, 'many'), { recursive: true })
  await w.until((now) => names(now) === 'foo/a')
})

t.test('a mounted ConfigMap changes all its files at once through one symbolic link', async (t) => {
  const root = t.testdir({ '..1': { 'a.yaml': podYaml('a') }, '..2': { 'a.yaml': podYaml('b') } })
  await symlink('..1', join(root, '..data'))
  await symlink(join('..data', 'a.yaml'), join(root, 'a.yaml'))
  const w = await watched(t, root)
  t.equal(names(w.snapshot()), 'foo/a')
  await symlink('..2', join(root, '..data_tmp'))
  await rename(join(root, '..data_tmp'), join(root, '..data'))
  await w.until((now) => names(now) === 'foo/b')
})

t.test('what moves into a file with an error stays in force until that can be read', async (t) => {
  const dir = t.testdir({ 'a.yaml': podYaml('a'), 'b.yaml': podYaml('b') })
  const w = await watched(t, dir)
  await writeFile(join(dir, '.c'), podYaml('a').replace('10.0.0.1', 'nonsense'))
  await rename(join(dir, '.c'), join(dir, 'c.yaml'))
  await unlink(join(dir, 'a.yaml'))
  await w.until((now) => now.files.some(({ file }) => file === 'c.yaml'))
  await w.until((now) => !now.files.some(({ file }) => file === 'a.yaml'))
  t.equal(names(w.snapshot()), 'foo/a foo/b')
  t.match(
    problems(w.snapshot()).join('\n'),
    /a.yaml:2:1: Pod foo\/a is not here any more; it stays .* c.yaml/,
  )
  t.equal(w.snapshot().complete, false)
  await writeFile(join(dir, 'b.yaml'), podYaml('b2'))
  await w.until((now) => names(now) === 'foo/a foo/b foo/b2')
  await writeFile(join(dir, 'c.yaml'), podYaml('a4'))
  await w.until((now) => names(now) === 'foo/a4 foo/b2')
  t.strictSame(problems(w.snapshot()), [])
})

t.test('what moves into a file that is held back stays in force too; what is deleted does not', async (t) => {
  const dir = t.testdir({ 'a.yaml': podYaml('a'), 'b.yaml': podYaml('b'), 'c.yaml': podYaml('c') })
  const w = await watched(t, dir)
  await writeFile(join(dir, 'a.yaml'), podYaml('a') + podYaml('b') + podYaml('new').replace('10.0.0.1', 'x'))
  await w.until((now) => now.problems.length > 0)
  await unlink(join(dir, 'b.yaml'))
  await unlink(join(dir, 'c.yaml'))
  await w.until((now) => now.files.length === 1)
  t.equal(names(w.snapshot()), 'foo/a foo/b')
  t.match(
    problems(w.snapshot()).join('\n'),
    /b.yaml:2:1: Pod foo\/b is not here any more; it stays .* a.yaml/,
  )
  await writeFile(join(dir, 'a.yaml'), podYaml('a') + podYaml('b') + podYaml('new'))
  await w.until((now) => names(now) === 'foo/a foo/b foo/new')
  t.strictSame(problems(w.snapshot()), [])
})

t.test('a file that was cut to nothing keeps what it held; deleting it does not', async (t) => {
  const dir = t.testdir({ 'a.yaml': podYaml('a'), 'b.yaml': podYaml('b'), 'empty.yaml': '' })
  const w = await watched(t, dir)
  t.strictSame(problems(w.snapshot()), [])
  await writeFile(join(dir, 'a.yaml'), '')
  await w.until((now) => now.problems.length > 0)
  t.strictSame(problems(w.snapshot()), ['a.yaml: is empty; delete the file to withdraw what it held'])
  t.equal(names(w.snapshot()), 'foo/a foo/b')
  await unlink(join(dir, 'a.yaml'))
  await w.until((now) => names(now) === 'foo/b')
})

t.test(
  'links to folders, to devices and to nothing are reported, not passed over or read for ever',
  async (t) => {
    const root = t.testdir({
      mesh: { 'A.YAML': podYaml('a'), 'b.json': '{}' },
      other: { 'p.yaml': podYaml('p') },
    })
    const dir = join(root, 'mesh')
    await symlink('../other', join(dir, 'policies'))
    await symlink('/dev/zero', join(dir, 'zero.yaml'))
    await symlink('/nowhere', join(dir, 'nowhere.yaml'))
    await symlink('/nowhere', join(dir, 'unrelated'))
    const snapshot = await loadFolder(dir)
    t.equal(names(snapshot), 'foo/a')
    t.equal(snapshot.complete, false)
    t.match(problems(snapshot), [
      /^b.json:1:1: kind: expected text/,
      /^nowhere.yaml: cannot be read: ENOENT/,
      'policies: is a link to a folder, which is not followed: put the folder itself here, or links to its files',
      'zero.yaml: is no regular file',
    ])
  },
)

t.test('a periodic look does not take a half written file for the whole', async (t) => {
  // Changes behind a link send no events: looking is all there is.
  const root = t.testdir({ mesh: {}, elsewhere: { 'a.yaml': podYaml('a') + podYaml('b') } })
  const file = join(root, 'elsewhere', 'a.yaml')
  await symlink(file, join(root, 'mesh', 'a.yaml'))
  const { stat } = fs
  let calls = 0
  // The first call is the first reading's. The second, a look's, finds the file half written, which is over before the
  // quiet time is: both are timers of one loop.
  const changing = async (...args: Parameters<typeof stat>) => {
    calls++
    if (calls === 2) writeFileSync(file, podYaml('a'))
    const stats = await stat(...args)
    if (calls === 2) setTimeout(() => writeFileSync(file, podYaml('a') + podYaml('c')), 300)
    return stats
  }
  t.teardown(replaceStat(Object.assign(changing)))
  const w = await watched(t, join(root, 'mesh'), 1, 1000)
  await w.until((now) => names(now) === 'foo/a foo/c')
  t.strictSame(w.seen, ['foo/a foo/b', 'foo/a foo/c'])
})

function replaceStat(stat: typeof fs.stat): () => void {
  const real = fs.stat
  const put = (wanted: typeof fs.stat) => {
    fs.stat = wanted
    syncBuiltinESMExports()
  }
  put(stat)
  return () => put(real)
}
