import t from 'tap'
import { parseExample } from './example-file.ts'

const GOOD = `mesh: ../../mesh
connections:
  - from: web/frontend
    to: shop/orders
    verdict: denied
    policy: none
    why: because
  - { from: web/reports, to: outside, port: tcp, by: pod, family: 6, verdict: allowed, policy: shop/p, dryRun: [shop/d], why: so }
`

t.test('what is left out has its default', async (t) => {
  const { content, problems } = parseExample('c.yaml', GOOD)
  t.same(problems, [])
  t.equal(content?.mesh, '../../mesh')
  const [first, second] = content?.connections ?? []
  t.match(first, { port: 'http', by: undefined, family: undefined, policy: undefined, dryRun: [], line: 3 })
  t.match(second, { port: 'tcp', by: 'pod', family: 6, policy: 'shop/p', dryRun: ['shop/d'], line: 8 })
})

t.test('each mistake has its place', async (t) => {
  for (const [from, to, expected] of [
    ['verdict: denied', 'verdict: refused', /^c\.yaml:5:5: connections\.0\.verdict: .*allowed/],
    ['    why: because', '    reason: because', /^c\.yaml:7:5: connections\.0\.reason: unknown field/m],
    ['policy: none', 'policy: orders', /^c\.yaml:6:5: .*namespace\/name of the policy/],
    ['to: shop/orders', 'to: orders', /^c\.yaml:4:5: .*namespace\/name of a pod, or outside/],
    ['mesh: ../../mesh', 'mash: ../../mesh', /^c\.yaml:1:1: mash: unknown field/m],
    ['    policy: none\n', '', /^c\.yaml:3:5: connections\.0\.policy/],
    ['[shop/d]', '[shop/d', /^c\.yaml:\d+:\d+: /],
    ['why: so', 'why: *no', /^c\.yaml:\d+:\d+: /],
    ['connections:', 'connections: []\nx:', /connections: /],
  ] as const) {
    const { content, problems } = parseExample('c.yaml', GOOD.replace(from, to))
    t.equal(content, undefined)
    t.match(problems.join('\n'), expected, `${from} → ${to}`)
  }
})
