import '../support/own-namespaces.ts'
import { readdirSync } from 'node:fs'
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { examplesFolder } from '../../src/lab/app.ts'
import type { Example } from '../../src/lab/example.ts'
import { allAsExpected } from '../../src/lab/example-report.ts'
import { startLab } from '../../src/lab/mesh-lab.ts'
import { EXAMPLE_LAB, loadExamples, runExamples } from '../../src/lab/run-examples.ts'
import { formatProblem, validateFolder } from '../../src/xds/kubernetes/index.ts'
import { assertOutcome } from '../support/example-outcome.ts'

t.setTimeout(150_000)

const POLICIES = join(examplesFolder(), 'policies')
const NAMES = readdirSync(POLICIES, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
  .sort()

/** Examples that show what becomes of a rule which L4 cannot see; all others must pass without a remark. */
const WARNED = ['14-l7-allow', '15-l7-deny']

t.test('every policy example is valid, has a story and is in the index', async (t) => {
  const index = await readFile(join(examplesFolder(), 'README.md'), 'utf8')
  for (const example of await loadExamples(NAMES)) {
    t.not(example.title, example.name, 'its README has a heading')
    t.ok(index.includes(`[${example.name}](policies/${example.name})`), `${example.name} in the index`)
    const problems = await problemsOf(example)
    t.same(
      problems.filter((problem) => !/visible at L4/.test(problem)),
      [],
      example.name,
    )
    t.equal(problems.length > 0, WARNED.includes(example.name))
  }
})

t.test('the policy examples', async (t) => {
  t.ok(NAMES.length >= 10, `${NAMES.length} examples`)
  const examples = await loadExamples(NAMES)
  await using lab = await startLab({ ...EXAMPLE_LAB, manifests: examples[0]?.mesh ?? '' })
  await t.test('each allows and denies what it says, for the reason that it says', async (t) => {
    for (const outcome of await runExamples(lab, examples)) assertOutcome(t, outcome)
  })

  const [example] = await loadExamples(['02-allow-service-account'])
  if (example === undefined) throw new Error('no example')
  const [allowed, denied] = example.connections
  if (allowed === undefined || denied === undefined) throw new Error('no connections')
  const problemsOfRun = async (...connections: Example['connections']): Promise<readonly string[]> => {
    const outcomes = await runExamples(lab, [{ ...example, connections }])
    t.equal(allAsExpected(outcomes), false)
    return outcomes.flatMap(({ observations }) => observations.map(({ problems }) => problems.join('; ')))
  }
  await t.test('what does not come out as it says is told', async (t) => {
    const [first, second] = await problemsOfRun(
      { ...allowed, verdict: 'denied', policy: undefined },
      { ...denied, verdict: 'allowed', policy: 'shop/orders-from-frontend' },
    )
    t.match(
      first,
      /verdict: expected denied, got allowed; policy: expected none, got shop\/orders-from-frontend/,
    )
    t.match(second, /verdict: expected allowed, got denied/)
  })
  await t.test('a server that is gone has denied nothing', async (t) => {
    await lab.component('app@shop/orders').stop()
    const [problems] = await problemsOfRun({ ...allowed, verdict: 'denied', policy: undefined })
    t.match(problems, /verdict: expected denied, got failed/)
  })
})

/** As the lab would apply it: the mesh and the example in one folder. */
async function problemsOf({ mesh, manifests }: Example): Promise<readonly string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'ztunnel-example-'))
  try {
    await cp(mesh, folder, { recursive: true })
    if (manifests !== undefined) await cp(manifests, join(folder, 'example'), { recursive: true })
    const options = { trustDomain: 'cluster.local', clusterId: 'Kubernetes', dryRunPolicies: true }
    const { problems } = await validateFolder(folder, options)
    return problems.map(formatProblem)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
