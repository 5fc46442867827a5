import t from 'tap'
import { compilePattern, MAX_PATTERN_INSTRUCTIONS, quotePattern } from './pattern.ts'

t.test('a whole text is matched, by the syntax of RE2', async (t) => {
  t.ok(compilePattern('/v[0-9]+').matches('/v12'))
  t.notOk(compilePattern('v').matches('/v12'))
  t.ok(compilePattern('a|bc').matches('bc'))
  t.ok(compilePattern('(?i)abc').matches('ABC'))
  t.notOk(compilePattern('a.c').matches('a\nc'))
  t.ok(compilePattern(quotePattern('a.b+c')).matches('a.b+c'))
  t.notOk(compilePattern(quotePattern('a.b+c')).matches('axb+c'))
})

t.test('what only backtracking can match is refused, with the reason', async (t) => {
  for (const source of ['(a)\\1', '(?=a)b', '(?<!a)b', '(', 'a{1001}']) {
    t.throws(
      () => compilePattern(source),
      { name: 'SyntaxError', message: /is no RE2 regular expression/ },
      source,
    )
  }
})

t.test('an expression that would take too long to match is refused', async (t) => {
  t.throws(() => compilePattern('(?:abcd){600}'), {
    message: new RegExp(`instructions, at most ${MAX_PATTERN_INSTRUCTIONS} are allowed`),
  })
})

t.test('time is linear in the text where backtracking would never end', async (t) => {
  const text = `${'a'.repeat(10_000)}!`
  for (const source of ['(a+)+$', '(a|aa)*', '(?:a?){30}a{30}', '(.*)(.*)(.*)b']) {
    t.notOk(compilePattern(source).matches(text), source)
  }
})
