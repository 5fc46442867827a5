import { existsSync, readdirSync } from 'node:fs'
import { resolve } from 'node:path'
import t from 'tap'
import { formatFindings, isRight } from './report.ts'
import { findCheck, LAB_CHECKS } from './run-check.ts'

const LABS = resolve(import.meta.dirname, '../../labs')

t.test('every numbered lab has a check, and every check a lab', (t) => {
  const folders = readdirSync(LABS).filter((name) => /^\d\d-/.test(name))
  t.strictSame(
    LAB_CHECKS.map(({ lab }) => lab),
    folders.sort(),
  )
  for (const folder of folders) {
    t.ok(existsSync(resolve(LABS, folder, 'check')), `${folder}/check`)
    t.ok(existsSync(resolve(LABS, folder, 'README.md')), `${folder}/README.md`)
  }
  t.end()
})

t.test('a lab is found by folder, name and number', (t) => {
  for (const name of ['labs/03-allow-and-deny', '/a/labs/03-allow-and-deny/', '03-allow-and-deny', '03', '3'])
    t.equal(findCheck(name).lab, '03-allow-and-deny')
  t.throws(() => findCheck('labs/coexistence'), { code: 'unknown-lab', message: /01-first-connection/ })
  t.throws(() => findCheck('0'), { code: 'unknown-lab' })
  t.end()
})

t.test('what is wrong is told with what was seen and what is next; nothing is not right', (t) => {
  const wrong = { what: 'a reaches b', right: false, seen: 'HTTP 500', hint: 'look at b' }
  const text = formatFindings('01-x', [{ ...wrong, what: 'c is there', right: true }, wrong])
  t.equal(
    text,
    '✓ c is there\n✗ a reaches b\n    seen: HTTP 500\n    next: look at b\n\n01-x: wrong, 1 of 2\n',
  )
  t.equal(isRight([wrong]), false)
  t.equal(isRight([]), false)
  t.end()
})
