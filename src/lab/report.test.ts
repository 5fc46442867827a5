import t from 'tap'
import type { AccessRecord } from './access-record.ts'
import type { Observation } from './observation.ts'
import { formatOutcome, formatRecord, toJson } from './report.ts'
import { COEXISTENCE } from './scenario.ts'
import { paletteFor } from './terminal.ts'

const palette = paletteFor({ isTTY: false, noColor: undefined })
const [scenario] = COEXISTENCE
if (scenario === undefined) throw new Error('the lab has no scenario')

const record: AccessRecord = {
  proxy: 'ztunnel@node-a',
  direction: 'outbound',
  source: '10.244.1.10:40000',
  sourceWorkload: 'foo/sleep',
  sourceIdentity: scenario.expected.client,
  destination: '10.244.2.10:15008',
  hboneAddress: '10.244.2.10:8000',
  destinationWorkload: 'bar/httpbin',
  destinationIdentity: scenario.expected.server,
  bytesSent: 131,
  bytesReceived: 424,
  duration: '9ms',
  error: undefined,
  policy: undefined,
  traceId: 't1',
}
const observation: Observation = {
  scenario,
  dialled: '10.96.2.10:80',
  verdict: 'allowed',
  policy: undefined,
  hops: scenario.expected.hops,
  wire: { protocol: 'HBONE', markerSeen: false, tls: true, packets: 9, flows: [] },
  client: scenario.expected.client,
  server: scenario.expected.server,
  dryRun: [],
  bytesSent: 131,
  bytesReceived: 424,
  milliseconds: 27.3,
  records: [record, { ...record, proxy: 'sidecar@bar/httpbin', direction: 'inbound' }],
  report: { ok: true, milliseconds: 27.3 },
  problems: [],
}
const outcome = (...observations: readonly Observation[]): string =>
  formatOutcome(observations, palette).join('\n')

t.test('one line says all about a connection', async (t) => {
  const [line = ''] = outcome(observation)
    .split('\n')
    .filter((text) => text.startsWith('✓'))
  for (const part of [
    'foo/sleep  bar/httpbin  10.96.2.10:80 VIP',
    'node-a ⇒ sidecar',
    'HBONE',
    'foo/sleep ⇄ bar/httpbin',
    'allowed, no policy applies',
    '↑ 131 B ↓ 424 B',
    '27 ms',
    scenario.title,
  ]) {
    t.match(line, part)
  }
  t.match(outcome(observation), 'All 1 connections came out as expected.')
})

t.test('verdicts name what gave them', async (t) => {
  t.match(outcome({ ...observation, policy: 'ns/p' }), 'allowed by ns/p')
  t.match(outcome({ ...observation, verdict: 'denied', policy: 'ns/p' }), 'denied by ns/p')
  t.match(outcome({ ...observation, verdict: 'denied' }), 'denied, no ALLOW policy matched')
})

t.test('a line that came out wrong says how, and what the proxies said', async (t) => {
  const text = outcome(observation, {
    ...observation,
    verdict: 'failed',
    problems: ['verdict: expected allowed, got failed'],
    records: [{ ...record, error: 'connect ECONNREFUSED' }],
  })
  t.match(text, /✗ foo\/sleep/)
  t.match(text, /^ {4}verdict: expected allowed, got failed$/m)
  t.match(text, /^ {4}ztunnel@node-a said: connect ECONNREFUSED$/m)
  t.match(text, '1 of 2 connections did not come out as expected.')
})

t.test('titles are left out where they do not fit', async (t) => {
  const narrow = formatOutcome([observation], palette, 80).join('\n')
  t.notMatch(narrow, scenario.title)
  t.match(narrow, '27 ms')
})

t.test('JSON has the same, with nothing left out', async (t) => {
  const json = toJson([observation], 12)
  t.equal(json.asExpected, true)
  t.match(json.connections[0], {
    id: scenario.id,
    identities: { client: scenario.expected.client, server: scenario.expected.server },
    policy: null,
    milliseconds: 27,
    asExpected: true,
  })
  t.equal(toJson([{ ...observation, problems: ['x'] }], 12).asExpected, false)
})

t.test("a user's own connection", async (t) => {
  t.equal(
    formatRecord(record, palette),
    '✓ ztunnel@node-a outbound  foo/sleep → bar/httpbin  HBONE  ↑ 131 B ↓ 424 B  9ms',
  )
  t.match(formatRecord({ ...record, error: 'refused', policy: 'ns/p' }, palette), /^✗ .*ns\/p {2}refused$/)
})
