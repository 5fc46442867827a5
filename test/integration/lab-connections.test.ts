import '../support/own-namespaces.ts'
import t from 'tap'
import { startLab } from '../../src/lab/mesh-lab.ts'
import { EXAMPLE_LAB, loadExamples, runExamples } from '../../src/lab/run-examples.ts'
import { assertOutcome } from '../support/example-outcome.ts'

t.setTimeout(120_000)

for (const name of ['coexistence', 'dual-stack']) {
  t.test(`the connections of labs/${name}, as examples/${name} lists them`, async (t) => {
    const examples = await loadExamples([name])
    await using lab = await startLab({ ...EXAMPLE_LAB, manifests: examples[0]?.mesh ?? '' })
    for (const outcome of await runExamples(lab, examples)) assertOutcome(t, outcome)
  })
}

t.test('examples of different meshes are not run together', async (t) => {
  await t.rejects(loadExamples(['coexistence', 'dual-stack']), {
    code: 'bad-example',
    message: /different meshes/,
  })
  await t.rejects(loadExamples(['no-such-example']), { code: 'bad-example', message: /no-such-example is/ })
})
