import fc from 'fast-check'
import t from 'tap'
import { authorityProblem, checkPath } from './request-target.ts'

t.test('paths are normalized before anybody looks at them', async (t) => {
  const cases: readonly (readonly [target: string, path: string])[] = [
    ['/', '/'],
    ['/a/b?c=/../d', '/a/b?c=/../d'],
    ['/a/../b', '/b'],
    ['/a/./b', '/a/b'],
    ['/a/..', '/'],
    ['/a/b/..', '/a/'],
    ['/a/b/.', '/a/b/'],
    ['/../../a', '/a'],
    ['/%2e%2E/a', '/a'],
    ['/a/.%2e/b', '/b'],
    ['/a\\..\\b', '/b'],
    ['/a//b', '/a//b'],
    ['/.well-known/x', '/.well-known/x'],
    ['/a/..b/...', '/a/..b/...'],
    ['/a%2fb', '/a%2Fb'],
    ['/a/../b?x=\\', '/b?x=\\'],
  ]
  for (const [target, path] of cases) t.same(checkPath(target), { path }, target)
})

t.test('what is no path', async (t) => {
  for (const target of ['', 'a', '*', '/a b', '/a\tb', '/a\0', '/é', '/a#b', '//a#'])
    t.ok('problem' in checkPath(target), JSON.stringify(target))
})

t.test('a normalized path stays as it is, and has no dots', async () => {
  const piece = fc.constantFrom('/', '.', '..', 'a', '%2e', '%2E', '\\', '?', '%2f', 'b.')
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      const checked = checkPath(`/${pieces.join('')}`)
      if ('problem' in checked) return false
      const [path = ''] = checked.path.split('?')
      const again = checkPath(checked.path)
      return (
        path.startsWith('/') &&
        !/(?:\/|\\)(?:\.|%2e){1,2}(?:\/|$)/i.test(path) &&
        'path' in again &&
        again.path === checked.path
      )
    }),
  )
})

t.test('authorities', async (t) => {
  for (const good of [
    'a',
    'a:80',
    'echo.default.svc.cluster.local',
    '10.0.0.1:1',
    '[::1]',
    '[::1]:80',
    'a_b',
  ])
    t.equal(authorityProblem(good), undefined, good)
  for (const bad of [
    '',
    ':80',
    'a:b',
    'u@a',
    'a/b',
    'a?b',
    'a b',
    'a,b c',
    '::1',
    '[::1',
    'a:123456',
    'x'.repeat(513),
  ])
    t.ok(authorityProblem(bad), bad)
})
