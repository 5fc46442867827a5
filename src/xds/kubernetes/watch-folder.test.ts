import { mkdir, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type FolderSnapshot, loadFolder } from './folder.ts'
import { formatProblem } from './problem.ts'
import { podYaml } from './test-support.ts'
import { watchFolder } from './watch-folder.ts'

interface Watched {
  readonly snapshot: () => FolderSnapshot
  /** Waits until the snapshot is as wanted; only file system events make it change. */
  until(wanted: (snapshot: FolderSnapshot) => boolean): Promise<void>
  readonly errors: string[]
}

/** With periodic looking switched off, so that events are what is tested. */
async function watched(t: Test, directory: string, rescanMs = 3_600_000): Promise<Watched> {
  const listeners = new Set<() => void>()
  const errors: string[] = []
  const alive = setInterval(() => {}, 1000)
  const watch = await watchFolder(directory, {
    debounceMs: 20,
    rescanMs,
    onChange: () => {
      for (const listener of [...listeners]) listener()
    },
    onError: (error) => errors.push(error.message),
  })
  t.teardown(async () => {
    clearInterval(alive)
    await watch.close()
  })
  const until = (wanted: (snapshot: FolderSnapshot) => boolean) =>
    new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`still ${names(watch.snapshot)}`)), 10_000)
      const look = () => {
        if (!wanted(watch.snapshot)) return
        clearTimeout(timer)
        listeners.delete(look)
        resolve()
      }
      listeners.add(look)
      look()
    })
  return { snapshot: () => watch.snapshot, until, errors }
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

t.test('a folder that is away for a moment does not empty the mesh', async (t) => {
  const root = t.testdir({ mesh: { 'a.yaml': podYaml('a') } })
  const w = await watched(t, join(root, 'mesh'), 20)
  await rename(join(root, 'mesh'), join(root, 'away'))
  const deadline = Date.now() + 10_000
  while (w.errors.length === 0 && Date.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 10))
  t.match(w.errors, [/ENOENT/])
  t.equal(names(w.snapshot()), 'foo/a')
  await writeFile(join(root, 'away', 'b.yaml'), podYaml('b'))
  await rename(join(root, 'away'), join(root, 'mesh'))
  await w.until((now) => names(now) === 'foo/a foo/b')
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
  const dir = t.testdir({ 'a.yaml': podYaml('a') + podYaml('b') })
  const seen: string[] = []
  const alive = setInterval(() => {}, 1000)
  const watch = await watchFolder(dir, {
    debounceMs: 200,
    rescanMs: 1,
    onChange: (now) => seen.push(names(now)),
  })
  t.teardown(async () => {
    clearInterval(alive)
    await watch.close()
  })
  await writeFile(join(dir, 'a.yaml'), podYaml('a'))
  // Long enough for several looks, short beside the quiet time.
  await new Promise((resolve) => setTimeout(resolve, 40))
  await writeFile(join(dir, 'a.yaml'), podYaml('a') + podYaml('c'))
  const deadline = Date.now() + 10_000
  while (seen.at(-1) !== 'foo/a foo/c' && Date.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 10))
  t.strictSame(seen, ['foo/a foo/b', 'foo/a foo/c'])
})
