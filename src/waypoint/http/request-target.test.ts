import t from 'tap'
import { authorityProblem, checkPath } from './request-target.ts'

t.test('a target is normalized up to its query, as policies and routes read it', async (t) => {
  const rows: readonly (readonly [target: string, path: string])[] = [
    ['/a/b?c=/../d', '/a/b?c=/../d'],
    ['/x/../admin', '/admin'],
    ['/%61dmin?', '/admin?'],
    ['/x/%2e%2E/admin', '/admin'],
    ['/x\\..\\admin', '/admin'],
    ['//admin', '//admin'],
    ['/a%2fb', '/a%2Fb'],
    ['/?%61', '/?%61'],
  ]
  for (const [target, path] of rows) t.strictSame(checkPath(target), { path }, target)
})

t.test('a target that cannot be told what it is has a problem', async (t) => {
  const rows: readonly (readonly [target: string, problem: RegExp])[] = [
    ['', /no path/],
    ['admin', /does not begin with/],
    ['\\admin', /does not begin with/],
    ['*', /does not begin with/],
    ['/a b', /character that no URI has/],
    ['/a\u0000', /character that no URI has/],
    ['/ä', /character that no URI has/],
    ['/a#b', /fragment/],
    ['/a%00', /%00/],
  ]
  for (const [target, problem] of rows) t.match(checkPath(target), { problem }, target)
})

t.test('an authority is a host and a port', async (t) => {
  for (const authority of ['a', 'a.example:80', '10.0.0.1', '[fd00::1]:80', 'a_b', 'A.']) {
    t.equal(authorityProblem(authority), undefined, authority)
  }
  for (const authority of ['', 'a b', 'user@a', 'a/b', 'a:80:90', 'a:x', '[a', 'a'.repeat(600)]) {
    t.type(authorityProblem(authority), 'string', authority)
  }
})
