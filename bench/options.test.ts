import t from 'tap'
import { chooseMeasures } from './measures/choose.ts'
import { MEASURES } from './measures/index.ts'
import { OptionsError, parseOptions } from './options.ts'

t.test('by default, everything in namespaces', async (t) => {
  const options = parseOptions([])
  t.equal(options.topology, 'namespaces')
  t.same(options.peers, ['direct', 'ours', 'haproxy', 'envoy'])
  t.match(options, { rounds: 3, seconds: 4, steadySeconds: 60, idleConnections: 10_000, workloads: 100_000 })
})

t.test('quick has fewer of everything, unless it is told', async (t) => {
  t.match(parseOptions(['--quick']), { rounds: 1, seconds: 2, steadySeconds: 4 })
  t.match(parseOptions(['--quick', '--rounds', '2']), { rounds: 2, seconds: 2 })
})

t.test('other programs take a seat under their names', async (t) => {
  const argv = [
    '--peer',
    'ztunnel=/opt/ztunnel proxy ztunnel',
    '--pair',
    'stunnel=run-stunnel.sh "$BENCH_ROLE"',
  ]
  const { peers, commands } = parseOptions(argv)
  t.same(peers.slice(-2), ['ztunnel', 'stunnel'])
  t.same(commands, [
    { name: 'ztunnel', command: '/opt/ztunnel proxy ztunnel', kind: 'node' },
    { name: 'stunnel', command: 'run-stunnel.sh "$BENCH_ROLE"', kind: 'pair' },
  ])
  t.same(parseOptions([...argv, '--peers', 'ours,ztunnel']).peers, ['ours', 'ztunnel'])
})

t.test('what cannot be followed is refused, saying what would be right', async (t) => {
  const refused = (argv: readonly string[], says: RegExp) => {
    t.throws(() => parseOptions(argv), new OptionsError(), 'is of its kind')
    t.throws(() => parseOptions(argv), { message: says })
  }
  refused(['--peers', 'nginx'], /there is no nginx; there is direct, ours/)
  refused(['--peer', '/opt/ztunnel'], /--peer is NAME=COMMAND/)
  refused(['--pair', 'averylongname=x'], /--pair is NAME=COMMAND with a name of at most 10/)
  refused(['--peer', 'ours=x'], /same name/)
  refused(['--rounds', '0'], /--rounds is a number above 0, not 0/)
  refused(['--seconds', 'many'], /--seconds is a number above 0, not many/)
  refused(['--topology', 'wan'], /namespaces or loopback, not wan/)
  refused(['--topology', 'loopback', '--peer', 'ztunnel=x'], /needs --topology namespaces/)
  refused(['--loud'], /--loud/)
})

t.test('measures by name, or by the beginning of several', async (t) => {
  const names = (measures: readonly string[], quick = false) =>
    chooseMeasures(MEASURES, { measures, quick }).map(({ name }) => name)
  t.same(names(['bulk-up-1']), ['bulk-up-1'], 'and not bulk-up-16')
  t.same(names(['requests', 'bulk-up']), [
    'bulk-up-1',
    'bulk-up-16',
    'requests-1',
    'requests-64',
    'requests-512',
  ])
  t.equal(names([]).length, MEASURES.length)
  const quick = names([], true)
  t.ok(quick.length > 5 && quick.length < MEASURES.length / 1.5, `quick takes ${quick.length}`)
  t.throws(() => names(['latency']), { message: /there is no latency; there is bulk-up-1/ })
})

t.test('names of measures are unique', async (t) => {
  t.equal(new Set(MEASURES.map(({ name }) => name)).size, MEASURES.length)
})
