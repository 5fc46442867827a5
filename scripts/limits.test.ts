import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'
import { findLimits, LIMITS_PAGE, limitsOf, renderLimits } from './limits-page.ts'

t.test('docs/limits.md has every limit of the sources and no other', async (t) => {
  const limits = findLimits()
  t.ok(limits.length > 100, `${limits.length} limits`)
  const page = existsSync(LIMITS_PAGE) ? readFileSync(LIMITS_PAGE, 'utf8') : ''
  t.equal(page, renderLimits(limits), 'run npm run limits')
})

t.test('every limit says why', async (t) => {
  for (const { name, file, reason } of findLimits()) {
    if (reason === '') t.fail(`src/${file}: ${name} has no comment that says why it is what it is`)
  }
  t.end()
})

t.test('what counts as a limit', async (t) => {
  const source = `
/**
 * Longer than
 * a probe.
 */
const WAIT_MS = 5 * 60_000
const RETRY_MS = WAIT_MS * 2

const MAX_THINGS = 8
/** The port of DNS. */
const DNS_PORT = 53
export const OTHER: string = 'x'
  const INNER_MS = 1
`
  t.same(limitsOf('x/y.ts', source), [
    { name: 'WAIT_MS', file: 'x/y.ts', value: '5 * 60_000', unit: 'ms', reason: 'Longer than a probe.' },
    { name: 'RETRY_MS', file: 'x/y.ts', value: 'WAIT_MS * 2', unit: 'ms', reason: 'Longer than a probe.' },
    { name: 'MAX_THINGS', file: 'x/y.ts', value: '8', unit: 'count', reason: '' },
  ])
})
