import fc from 'fast-check'
import t from 'tap'
import { normalizePath } from './normalize-path.ts'

/** Path, BASE, MERGE_SLASHES, DECODE_AND_MERGE_SLASHES. */
const ROWS: readonly (readonly [path: string, base: string, merged: string, decoded: string])[] = [
  ['/', '/', '/', '/'],
  ['/a/b', '/a/b', '/a/b', '/a/b'],
  ['/a/../b', '/b', '/b', '/b'],
  ['/./admin', '/admin', '/admin', '/admin'],
  ['/a/.', '/a/', '/a/', '/a/'],
  ['/a/..', '/', '/', '/'],
  ['/../../etc', '/etc', '/etc', '/etc'],
  ['/a/.b/..c/...', '/a/.b/..c/...', '/a/.b/..c/...', '/a/.b/..c/...'],
  ['/%61dmin', '/admin', '/admin', '/admin'],
  ['/%41%7e%2d%5f%2e', '/A~-_.', '/A~-_.', '/A~-_.'],
  ['/a/%2e%2E/b', '/b', '/b', '/b'],
  ['/a/.%2e/b', '/b', '/b', '/b'],
  ['\\admin', '/admin', '/admin', '/admin'],
  ['/a\\..\\b', '/b', '/b', '/b'],
  ['//admin', '//admin', '/admin', '/admin'],
  ['/a///b//', '/a///b//', '/a/b/', '/a/b/'],
  ['/a//../b', '/a/b', '/a/b', '/a/b'],
  ['/a%2fb', '/a%2Fb', '/a%2Fb', '/a/b'],
  ['/a%2F..%2fb', '/a%2F..%2Fb', '/a%2F..%2Fb', '/b'],
  ['/a%5cb', '/a%5Cb', '/a%5Cb', '/a/b'],
  ['/%2561', '/%2561', '/%2561', '/%2561'],
  ['/%zz%2', '/%zz%2', '/%zz%2', '/%zz%2'],
  ['/%c3%a4', '/%C3%A4', '/%C3%A4', '/%C3%A4'],
  ['/admin/..;/', '/admin/..;/', '/admin/..;/', '/admin/..;/'],
  ['*', '*', '*', '*'],
]

t.test('what becomes of a path at each level', async (t) => {
  for (const [path, base, merged, decoded] of ROWS) {
    t.equal(normalizePath(path), base, `BASE is the default: ${path}`)
    t.equal(normalizePath(path, 'MERGE_SLASHES'), merged, path)
    t.equal(normalizePath(path, 'DECODE_AND_MERGE_SLASHES'), decoded, path)
  }
  t.equal(normalizePath('/a/../%61', 'NONE'), '/a/../%61')
})

t.test('what cannot be told what it is', async (t) => {
  for (const path of [
    '',
    'a',
    'http://x/',
    '/a b',
    '/a#b',
    '/a\r\nb',
    '/a\u0000',
    '/a\u007f',
    '/a%00b',
    '**',
  ]) {
    t.equal(normalizePath(path), undefined, JSON.stringify(path))
    t.equal(normalizePath(path, 'NONE'), undefined, JSON.stringify(path))
  }
  t.equal(normalizePath('%2Fadmin'), undefined)
  t.equal(normalizePath('%2Fadmin', 'DECODE_AND_MERGE_SLASHES'), '/admin')
})

const path = fc
  .array(
    fc.constantFrom('/', '\\', '.', '..', 'a', ';', '%', '2', 'e', 'F', '%2e', '%2F', '%61', '%5c', '%00'),
  )
  .map((parts) => `/${parts.join('')}`)

t.test('a normalized path has no dot segments or backslashes, and stays as it is', async () => {
  fc.assert(
    fc.property(path, fc.constantFrom('BASE', 'MERGE_SLASHES'), (path, level) => {
      const normal = normalizePath(path, level)
      if (normal === undefined) return path.includes('%00')
      const segments = normal.split('/')
      const plain = !segments.includes('.') && !segments.includes('..') && !normal.includes('\\')
      return plain && (level === 'BASE' || !normal.includes('//')) && normal.startsWith('/')
    }),
    { numRuns: 3000 },
  )
})

t.test('a path without anything odd in it is what the WHATWG URL parser makes of it', async () => {
  const usual = fc
    .array(fc.constantFrom('a', 'b', '.', '..', '%2e', '%2E%2e', '', 'c;d'), { minLength: 1 })
    .map((segments) => `/${segments.join('/')}`)
  fc.assert(
    fc.property(usual, (path) => normalizePath(path) === new URL(`http://x${path}`).pathname),
    { numRuns: 2000 },
  )
})
