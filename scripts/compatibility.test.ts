// docs/compatibility.md promises a row for every numbered item of the
// reference's behaviour. This holds the part files to it: no item missing,
// none judged twice in different ways, and every test that a row names is there.
import { existsSync, globSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import t from 'tap'

const ROOT = resolve(import.meta.dirname, '..')

/** Section to its last item; a section without numbered items is its own. */
const ITEMS: Readonly<Record<string, number>> = {
  '1': 13,
  '2': 7,
  '3': 19,
  '4': 6,
  '5': 13,
  '6': 6,
  '7': 4,
  '8': 14,
  '10': 14,
  '11': 7,
  '12': 11,
  '14': 2,
  '15': 5,
  '16': 7,
  '17': 7,
  '19': 35,
}
const WHOLE = ['13', '13.1']
const JUDGEMENTS = ['same', 'better', 'left out']

interface Row {
  readonly file: string
  readonly item: string
  readonly judgement: string
  readonly why: string
  readonly tests: readonly string[]
}

const rows = readRows()

t.test('every item has a row', async (t) => {
  const wanted = Object.entries(ITEMS).flatMap(([section, last]) =>
    Array.from({ length: last }, (_, index) => `${section}.${index + 1}`),
  )
  const found = new Set(rows.map(({ item }) => item))
  t.same(
    [...wanted, ...WHOLE].filter((item) => !found.has(item)),
    [],
    'none is missing',
  )
})

t.test('every row is judged, and says why where it differs', async (t) => {
  for (const { file, item, judgement, why } of rows) {
    if (!JUDGEMENTS.includes(judgement)) t.fail(`${file} ${item}: "${judgement}" is none of ${JUDGEMENTS}`)
    if (judgement !== 'same' && why === '') t.fail(`${file} ${item}: ${judgement} without a reason`)
  }
  t.ok(rows.length > 0)
})

t.test('every row that claims to be the same, or better, names tests that exist', async (t) => {
  for (const { file, item, judgement, tests } of rows) {
    if (judgement !== 'left out' && tests.length === 0) t.fail(`${file} ${item}: no test named`)
    for (const test of tests) if (!existsSync(resolve(ROOT, test))) t.fail(`${file} ${item}: no ${test}`)
  }
  t.ok(rows.length > 0)
})

function readRows(): readonly Row[] {
  return globSync('docs/compatibility/*.md', { cwd: ROOT }).flatMap((file) =>
    readFileSync(resolve(ROOT, file), 'utf8')
      .split('\n')
      .flatMap((line) => {
        const cells = line.split(/(?<!\\)\|/).map((cell) => cell.trim())
        const [, item = '', , judgement = '', why = ''] = cells
        if (!/^\d+(\.\d+)?$/.test(item)) return []
        const tests = [...line.matchAll(/`((?:src|test|scripts)\/[^`]+\.test\.ts)`/g)].map(
          ([, path = '']) => path,
        )
        return [{ file, item, judgement, why, tests }]
      }),
  )
}
