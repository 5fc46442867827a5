import fc from 'fast-check'
import t from 'tap'
import { isPathTemplate, matchesPathTemplate, parsePathTemplate } from './path-template.ts'

const ROWS: readonly (readonly [template: string, path: string, matched: boolean])[] = [
  ['/foo/{*}', '/foo/bar', true],
  ['/foo/{*}', '/foo/bar/baz', false],
  ['/foo/{*}', '/foo/', false],
  ['/foo/{*}', '/foo', false],
  ['/foo/{*}', '/fooo/bar', false],
  ['/foo/{**}/', '/foo/bar/', true],
  ['/foo/{**}/', '/foo/bar/baz.txt/', true],
  ['/foo/{**}/', '/foo//', true],
  ['/foo/{**}/', '/foo/', false],
  ['/foo/{**}/', '/foo/bar', false],
  ['/foo/{*}/bar/{**}', '/foo/buzz/bar/', true],
  ['/foo/{*}/bar/{**}', '/foo/buzz/bar/baz', true],
  ['/foo/{*}/bar/{**}', '/foo/buzz/bar', false],
  ['/foo/{*}/bar/{**}', '/foo/a/b/bar/baz', false],
  ['/{**}', '/', true],
  ['/{**}/x', '/x', false],
  ['/{**}/x', '//x', true],
  ['/{*}', '/a', true],
  ['/{*}', '*', false],
]

t.test('Istio’s examples, and more', async (t) => {
  for (const [template, path, matched] of ROWS) {
    t.equal(matchesPathTemplate(parsePathTemplate(template), path), matched, `${template} ${path}`)
  }
})

t.test('what is no template is refused with the reason', async (t) => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['foo/{*}', /expected a slash at its beginning/],
    ['/*/baz/{*}', /"\*": an operator .* must be a whole segment/],
    ['/**/baz/{*}', /"\*\*": an operator/],
    ['/{**}/foo/{*}', /\{\*\*\} must be the last operator/],
    ['/{**}/foo/{**}', /must be the last operator/],
    ['/foo/{*}.txt', /"\{\*\}\.txt": an operator/],
    ['/foo/{*}{**}', /must be a whole segment/],
    ['/foo/{id}/{*}', /"\{id\}"/],
  ]
  for (const [text, message] of cases)
    t.throws(() => parsePathTemplate(text), { name: 'SyntaxError', message })
  t.equal(isPathTemplate('/a/{*}'), true)
  t.equal(isPathTemplate('/a/*'), false)
})

t.test('it says what a regular expression says', async () => {
  const part = fc.constantFrom('a', 'b', '')
  const template = fc
    .record({
      before: fc.array(fc.constantFrom('a', 'b', '{*}'), { maxLength: 3 }),
      rest: fc.constantFrom([], ['{**}']),
      after: fc.array(part, { maxLength: 2 }),
    })
    .map(({ before, rest, after }) => `/${[...before, ...rest, ...after].join('/')}`)
  const path = fc.array(part, { maxLength: 6 }).map((parts) => `/${parts.join('/')}`)
  fc.assert(
    fc.property(template, path, (template, path) => {
      const source = template.replace('{**}', '.*').replaceAll('{*}', '[^/]+')
      return matchesPathTemplate(parsePathTemplate(template), path) === new RegExp(`^${source}$`).test(path)
    }),
    { numRuns: 3000 },
  )
})
