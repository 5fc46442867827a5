import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { loadFolder } from './folder.ts'
import { FolderSource } from './folder-source.ts'
import { formatProblem } from './problem.ts'
import { podYaml, policyYaml } from './test-support.ts'
import { validateFolder } from './validate-folder.ts'

const OPTIONS = { trustDomain: 'cluster.local', clusterId: 'Kubernetes' }

t.test('several folders are one mesh, and files are named with their folders', async (t) => {
  const root = t.testdir({ apps: { 'a.yaml': podYaml('a') }, policies: { 'a.yaml': policyYaml('{}') } })
  const [apps, policies] = [join(root, 'apps'), join(root, 'policies')]
  const { objects, files, complete } = await loadFolder([apps, policies])
  t.strictSame([...objects.pods.keys(), ...objects.authorizationPolicies.keys()], ['foo/a', 'foo/p'])
  t.match(files, [{ file: join(apps, 'a.yaml') }, { file: join(policies, 'a.yaml') }])
  t.equal(complete, true)
})

t.test('what two folders define is named with both places; the first folder counts', async (t) => {
  const second = podYaml('a').replace('10.0.0.1', '10.0.0.2')
  const root = t.testdir({ one: { 'z.yaml': podYaml('a') }, two: { 'a.yaml': second } })
  const [one, two] = [join(root, 'one'), join(root, 'two')]
  const { snapshot, problems } = await validateFolder([one, two], OPTIONS)
  t.match(snapshot.objects.pods.get('foo/a'), { status: { podIPs: ['10.0.0.1'] } })
  t.strictSame(problems.map(formatProblem), [
    `${two}/a.yaml:2:1: metadata.name: Pod a is defined in ${one}/z.yaml:2 too, and that one is in force: remove one`,
  ])
})

t.test('a finding stands where the field is, in whichever folder', async (t) => {
  const root = t.testdir({ one: { 'a.yaml': podYaml('a') }, two: { 'a.yaml': podYaml('b') } })
  const [one, two] = [join(root, 'one'), join(root, 'two')]
  const { problems } = await validateFolder([one, two], OPTIONS)
  t.strictSame(problems.map(formatProblem), [
    `${two}/a.yaml:6:10: status.podIP: 10.0.0.1 is the address of Pod foo/a too, at ${one}/a.yaml:6:10`,
  ])
})

t.test('a folder that is away keeps its files, and the other goes on', async (t) => {
  const root = t.testdir({ one: { 'a.yaml': podYaml('a') }, two: { 'b.yaml': podYaml('b') } })
  const [one, two] = [join(root, 'one'), join(root, 'two')]
  const source = new FolderSource({
    ...OPTIONS,
    directories: [one, two],
    watch: { debounceMs: 20, rescanMs: 20 },
  })
  const alive = setInterval(() => {}, 1000)
  let seen = ''
  const until = async (what: string, condition: () => boolean) => {
    const deadline = Date.now() + 30_000
    while (!condition()) {
      if (Date.now() > deadline) throw new Error(`still waiting for: ${what}`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  t.teardown(async () => {
    clearInterval(alive)
    await source.close()
  })
  await source.start(({ workloads }) => {
    seen = workloads.map(({ name }) => name).join(' ')
  })
  t.equal(seen, 'a b')
  await rename(one, join(root, 'away'))
  await writeFile(join(two, 'c.yaml'), podYaml('c'))
  await until('the change beside it', () => seen === 'a b c')
  await until('the report', () =>
    source.status().problems.some(({ text }) => text.startsWith(`${one}: the folder cannot be listed`)),
  )
  t.match(source.status(), {
    source: `folders ${one}, ${two}`,
    complete: true,
    problems: [{ severity: 'error' }],
  })
  await mkdir(one)
  await writeFile(join(one, 'd.yaml'), podYaml('d'))
  await until('the folder again', () => seen === 'b c d')
  t.strictSame(source.status().problems, [])
})

t.test('each folder must be there at first', async (t) => {
  const dir = t.testdir({ 'a.yaml': podYaml('a') })
  await t.rejects(loadFolder([dir, join(dir, 'none')]), /ENOENT/)
})
