import '../support/own-namespaces.ts'
import { existsSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'
import { startLab } from '../../src/lab/mesh-lab.ts'
import { EXAMPLE_LAB, loadExamples, runExamples } from '../../src/lab/run-examples.ts'
import { assertOutcome } from '../support/example-outcome.ts'

t.setTimeout(150_000)

const LABS = resolve(import.meta.dirname, '../../labs')
const FOLDERS = readdirSync(LABS)
  .filter((name) => /^\d\d-/.test(name) && existsSync(join(LABS, name, 'connections.yaml')))
  .map((name) => join(LABS, name))

t.test('the labs that run without Docker allow and deny what they say', async (t) => {
  t.equal(FOLDERS.length, 4)
  const examples = await loadExamples(FOLDERS)
  await using lab = await startLab({ ...EXAMPLE_LAB, manifests: examples[0]?.mesh ?? '' })
  for (const outcome of await runExamples(lab, examples)) assertOutcome(t, outcome)
})
