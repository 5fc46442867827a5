import t from 'tap'
import { candidates, canonicalName, hostnamePatterns, kubernetesSearchDomains } from './names.ts'

const D = 'cluster.local'
const searchDomains = kubernetesSearchDomains('foo', D)
const names = (name: string, search: readonly string[] = []): readonly string[] =>
  candidates(name, { namespace: 'foo', clusterDomain: D, searchDomains: search }).map(
    (candidate) => candidate.name,
  )

t.test('12.3 expansions by the number of labels', async (t) => {
  const table: readonly (readonly [string, readonly string[]])[] = [
    ['web', ['web', 'web.foo.svc.cluster.local']],
    ['web.bar', ['web.bar', 'web.bar.svc.cluster.local', 'web.bar.foo.svc.cluster.local']],
    ['web.bar.svc', ['web.bar.svc', 'web.bar.svc.cluster.local', 'web.bar.svc.svc.cluster.local']],
    ['db-0.db.bar', ['db-0.db.bar', 'db-0.db.bar.svc.cluster.local']],
    ['db-0.db.bar.svc', ['db-0.db.bar.svc', 'db-0.db.bar.svc.cluster.local']],
    ['a.b.c.d', ['a.b.c.d']],
    ['web.bar.svc.cluster.local', ['web.bar.svc.cluster.local']],
  ]
  for (const [name, expected] of table) t.strictSame(names(name), expected, name)
})

t.test('12.3 search domains of a pod, each taken off and what is left expanded', async (t) => {
  t.strictSame(searchDomains, ['foo.svc.cluster.local', 'svc.cluster.local', 'cluster.local'])
  t.strictSame(
    candidates('web.bar.foo.svc.cluster.local', { namespace: 'foo', clusterDomain: D, searchDomains }),
    [
      { name: 'web.bar.foo.svc.cluster.local', stripped: undefined },
      { name: 'web.bar', stripped: 'web.bar' },
      { name: 'web.bar.svc.cluster.local', stripped: 'web.bar' },
      { name: 'web.bar.foo', stripped: 'web.bar.foo' },
      { name: 'web.bar.foo.svc', stripped: 'web.bar.foo.svc' },
    ],
    'each name once, under the first reason for it',
  )
})

t.test('12.3 only a proper suffix is taken off', async (t) => {
  t.strictSame(names('corp.example.com', ['corp.example.com']), [
    'corp.example.com',
    'corp.example.com.svc.cluster.local',
  ])
  t.notOk(names('xcorp.example.com', ['corp.example.com']).includes('x'))
  t.ok(names('x.corp.example.com', ['corp.example.com']).includes('x'))
})

t.test('12.4 wildcards for leading labels, never the bare one', async (t) => {
  const patterns = (name: string): readonly string[] =>
    [...hostnamePatterns(name)].map(({ hostname }) => hostname)
  t.strictSame(patterns('a.b.c'), ['a.b.c', '*.b.c', '*.c'])
  t.strictSame(patterns('a'), ['a'])
})

t.test('names are compared without case and final dot', async (t) => {
  t.equal(canonicalName('WeB.Bar.'), 'web.bar')
  t.equal(canonicalName('.'), '')
})
