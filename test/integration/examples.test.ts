import '../support/own-namespaces.ts'
import { readdirSync } from 'node:fs'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { examplesFolder } from '../../src/lab/app.ts'
import type { Example } from '../../src/lab/example.ts'
import { startLab } from '../../src/lab/mesh-lab.ts'
import { EXAMPLE_LAB, loadExamples, runExamples } from '../../src/lab/run-examples.ts'
import { formatProblem, validateFolder } from '../../src/xds/kubernetes/index.ts'

const POLICIES = join(examplesFolder(), 'policies')
const NAMES = readdirSync(POLICIES, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
  .sort()

/** Examples that show what becomes of a rule which L4 cannot see; all others must pass without a remark. */
const WARNED = ['14-l7-allow', '15-l7-deny']

t.test('every policy example is valid', async (t) => {
  for (const example of await loadExamples(NAMES)) {
    const problems = await problemsOf(example)
    t.same(
      problems.filter((problem) => !/visible at L4/.test(problem)),
      [],
      example.name,
    )
    t.equal(problems.length > 0, WARNED.includes(example.name))
  }
})

t.test('every policy example allows and denies what it says, for the reason that it says', async (t) => {
  t.ok(NAMES.length >= 10, `${NAMES.length} examples`)
  const examples = await loadExamples(NAMES)
  await using lab = await startLab({ ...EXAMPLE_LAB, manifests: examples[0]?.mesh ?? '' })
  for (const { example, observations } of await runExamples(lab, examples)) {
    await t.test(`${example.name}: ${example.title}`, async (t) => {
      t.equal(observations.length, example.connections.length)
      for (const [index, { verdict, policy, problems, records }] of observations.entries()) {
        const expected = example.connections[index]
        const { from, to, port, why } = expected ?? {}
        const name = `${from} → ${to} ${port}: ${verdict} by ${policy ?? 'no policy'}: ${why}`
        t.same(problems, [], name, { records })
        t.match({ verdict, policy }, { verdict: expected?.verdict, policy: expected?.policy })
      }
    })
  }
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
