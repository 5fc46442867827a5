import t from 'tap'
import { allAsExpected, examplesJson, formatExamples } from './example-report.ts'
import type { Observation } from './observation.ts'
import type { ExampleOutcome } from './run-examples.ts'
import type { Scenario } from './scenario.ts'
import { paletteFor } from './terminal.ts'

const scenario: Scenario = {
  id: '03-x-1',
  title: 'of another namespace',
  from: 'web/frontend',
  target: { to: 'shop/orders', by: 'service', port: 'tcp', family: 6 },
  traffic: { kind: 'half-close', bytes: 1 },
  expected: {
    wire: 'HBONE',
    verdict: 'denied',
    policy: 'shop/p',
    hops: [],
    client: undefined,
    server: undefined,
    dryRun: ['shop/d'],
  },
}
const observation: Observation = {
  scenario,
  dialled: '10.96.2.10:9000',
  verdict: 'denied',
  policy: 'shop/p',
  hops: [],
  wire: { protocol: 'HBONE', markerSeen: false, tls: true, packets: 9, flows: [] },
  client: undefined,
  server: undefined,
  dryRun: ['shop/d'],
  bytesSent: 0,
  bytesReceived: 0,
  milliseconds: 1,
  records: [],
  report: { ok: false, milliseconds: 1 },
  problems: [],
}
const outcome = (...observations: readonly Observation[]): ExampleOutcome => ({
  example: {
    name: '03-x',
    title: 'A title',
    manifests: undefined,
    mesh: '/m',
    file: '/e/connections.yaml',
    connections: [],
  },
  observations,
})
const text = (...outcomes: readonly ExampleOutcome[]): string =>
  formatExamples(outcomes, paletteFor({ isTTY: false, noColor: undefined })).join('\n')

t.test('what came out as expected', async (t) => {
  const printed = text(outcome(observation))
  t.match(printed, '03-x: A title')
  t.match(
    printed,
    '✓ web/frontend  shop/orders tcp, IPv6  HBONE  denied by shop/p; dry run: shop/d  the same  of another namespace',
  )
  t.match(printed, 'All 1 connections of 1 example came out as expected.')
  t.equal(allAsExpected([outcome(observation)]), true)
})

t.test('what did not', async (t) => {
  const wrong: Observation = {
    ...observation,
    verdict: 'allowed',
    policy: undefined,
    dryRun: [],
    problems: ['verdict: expected denied, got allowed'],
  }
  const outcomes = [outcome(observation), outcome(wrong, observation)]
  const printed = text(...outcomes)
  t.match(printed, /✗ web\/frontend .* allowed +denied by shop\/p; dry run: shop\/d +of another/)
  t.match(printed, '    verdict: expected denied, got allowed')
  t.match(printed, '1 of 3 connections of 2 examples did not come out as expected.')
  t.equal(allAsExpected(outcomes), false)
  const json = examplesJson(outcomes, 5)
  t.match(json, { asExpected: false, startMilliseconds: 5 })
  t.same(
    json.examples.map(({ asExpected }) => asExpected),
    [true, false],
  )
})
