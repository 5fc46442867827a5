import t from 'tap'
import type { Account, Measure, Sample } from '../measures/measure.ts'
import { parseOptions } from '../options.ts'
import { Results } from '../results.ts'
import { floors } from './floors.ts'
import { jsonReport, markdownReport, type ReportOptions } from './report.ts'
import { cell, figureTable, markdownTable } from './table.ts'

const REQUESTS: Measure = {
  name: 'requests-64',
  title: 'keep-alive, 64 conn',
  figures: [
    { key: 'rps', title: 'requests/s', unit: '', digits: 0 },
    { key: 'p99ms', title: 'p99', unit: 'ms', digits: 2 },
  ],
  run: async () => ({}),
}
const PEERS = [
  { name: 'direct', title: 'direct' },
  { name: 'ours', title: 'ours' },
  { name: 'haproxy', title: 'haproxy 2.6' },
]

function resultsOf(rows: readonly (readonly [peer: string, sample: Sample])[]): Results {
  const results = new Results()
  const account = (role: Account['role']): Account => ({ role, cpuSeconds: 1.5, peakBytes: 2e7 })
  rows.forEach(([peer, sample], index) => {
    const accounts = peer === 'direct' ? [] : [account('out'), account('in')]
    results.all.push({
      measure: REQUESTS.name,
      peer,
      round: index,
      sample,
      accounts,
      foreignCpus: 0.02,
      systemCalls: [],
    })
  })
  return results
}

function reportOf(results: Results): ReportOptions {
  const machine = {
    processor: 'Some',
    processors: 2,
    memoryGb: 8,
    kernel: '6.1',
    node: 'v26',
    commit: 'abc',
    date: '2026-01-01 00:00',
    load: 0.1,
  }
  const options = parseOptions(['--rounds', '3', '--peer', 'other=secret-command'])
  return {
    machine,
    options,
    measures: [REQUESTS],
    peers: PEERS,
    results,
    client: 'wrk',
    missing: ['no Envoy'],
  }
}

const THREE_ROUNDS = resultsOf([
  ['direct', { rps: 1000 }],
  ['ours', { rps: 300, p99ms: 1 }],
  ['ours', { rps: 100, p99ms: 3 }],
  ['ours', { rps: 200, p99ms: 2 }],
  ['haproxy', { rps: 100, p99ms: 8 }],
])

t.test('columns are as wide as what is in them', async (t) => {
  t.equal(
    markdownTable(['a', 'bcde'], [['longer', 'x']]),
    '| a      | bcde |\n|--------|------|\n| longer | x    |',
  )
})

t.test('a cell is the median with the extremes, if there are any', async (t) => {
  t.equal(cell({ median: 2.345, min: 1, max: 3, count: 3 }, { digits: 1 }), '2.3 (1.0–3.0)')
  t.equal(cell({ median: 2, min: 2, max: 2, count: 1 }, { digits: 0 }), '2')
  t.equal(cell(undefined, { digits: 0 }), '–')
})

t.test('figures of each peer, and ours as a multiple of each other one', async (t) => {
  const lines = figureTable([REQUESTS], PEERS, THREE_ROUNDS)
    .split('\n')
    .map((line) => line.replace(/ +/g, ' '))
  t.same(lines[0], '| measure | direct | ours | haproxy 2.6 | ours / direct | ours / haproxy |')
  t.same(lines[2], '| keep-alive, 64 conn: requests/s | 1000 | 200 (100–300) | 100 | 0.20× | 2.00× |')
  t.same(lines[3], '| keep-alive, 64 conn: p99, ms | – | 2.00 (1.00–3.00) | 8.00 | – | 0.25× |')
})

t.test('a floor is met, missed, or not measured', async (t) => {
  const all = floors(THREE_ROUNDS)
  const of = (title: string) => all.find((floor) => floor.title === title)?.verdict
  t.same(of('keep-alive rps, 64 conn / haproxy'), { measured: '2.00×', met: true })
  t.same(of('keep-alive p99, 64 conn / haproxy'), { measured: '0.25×', met: true })
  t.equal(of('idle connection, out'), undefined)
  const slow = floors(
    resultsOf([
      ['ours', { rps: 130 }],
      ['haproxy', { rps: 100 }],
    ]),
  )
  t.same(slow.find(({ title }) => title === 'keep-alive rps, 64 conn / haproxy')?.verdict, {
    measured: '1.30×',
    met: false,
  })
})

t.test('the report says what it is of, what was not measured, and what failed', async (t) => {
  const results = resultsOf([['ours', { rps: 1 }]])
  results.failures.push({ measure: 'idle', peer: 'envoy', round: 2, reason: 'it ended' })
  const text = markdownReport(reportOf(results))
  t.match(text, /commit abc; 2 × Some, 8 GB, Linux 6\.1, Node v26/)
  t.match(text, /Not measured: no Envoy/)
  t.match(text, /- idle, envoy, round 2: it ended/)
  t.match(text, /1\.50 s, 20 MB/)
  t.notMatch(text, /too much/)
})

t.test('a busy machine is named', async (t) => {
  const results = resultsOf([])
  results.all.push({
    measure: REQUESTS.name,
    peer: 'ours',
    round: 1,
    sample: {},
    accounts: [],
    systemCalls: [],
    foreignCpus: 0.9,
  })
  t.match(markdownReport(reportOf(results)), /Others used 0\.90 processors .* too much/)
})

t.test('JSON has each round', async (t) => {
  const json = JSON.parse(JSON.stringify(jsonReport(reportOf(THREE_ROUNDS))))
  t.equal(json.results.length, 5)
  t.match(json.results[1], {
    measure: 'requests-64',
    peer: 'ours',
    sample: { rps: 300 },
    accounts: [{ role: 'out' }, { role: 'in' }],
  })
  t.ok(json.floors.length > 20)
})
