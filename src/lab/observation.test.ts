import t from 'tap'
import type { AccessRecord } from './access-record.ts'
import { type Evidence, observe, recordsOf } from './observation.ts'
import type { Scenario } from './scenario.ts'

const CLIENT = 'spiffe://cluster.local/ns/foo/sa/sleep'
const SERVER = 'spiffe://cluster.local/ns/bar-1/sa/httpbin'
const ENDS = { clientAddress: '10.244.1.10', server: 'bar-1/httpbin', serverAddresses: ['10.244.2.12'] }

const scenario: Scenario = {
  id: 'x',
  title: 'x',
  from: 'foo/sleep',
  target: { to: 'bar-1/httpbin', by: 'pod', port: 'http' },
  traffic: { kind: 'http' },
  expected: {
    wire: 'HBONE',
    verdict: 'allowed',
    policy: 'bar-1/p',
    hops: ['ztunnel@node-a', 'ztunnel@node-b'],
    client: CLIENT,
    server: SERVER,
  },
}

const outbound: AccessRecord = {
  proxy: 'ztunnel@node-a',
  direction: 'outbound',
  source: '10.244.1.10:40000',
  sourceWorkload: 'foo/sleep',
  sourceIdentity: CLIENT,
  destination: '10.244.2.12:15008',
  hboneAddress: '10.244.2.12:8000',
  destinationWorkload: 'bar-1/httpbin',
  destinationIdentity: SERVER,
  bytesSent: 10,
  bytesReceived: 20,
  duration: '1ms',
  error: undefined,
  policy: undefined,
  traceId: 't1',
}
const inbound: AccessRecord = {
  ...outbound,
  proxy: 'ztunnel@node-b',
  direction: 'inbound',
  source: '10.244.1.10:51000',
  policy: 'bar-1/p',
}

const evidence: Evidence = {
  scenario,
  dialled: '10.244.2.12:8000',
  report: { ok: true, markerReturned: true, localAddress: '10.244.1.10', localPort: 40000, milliseconds: 5 },
  records: [outbound, inbound],
  wire: { protocol: 'HBONE', markerSeen: false, tls: true, packets: 9, flows: [] },
}

t.test('all as expected', async (t) => {
  const observation = observe(evidence)
  t.same(observation.problems, [])
  t.match(observation, {
    verdict: 'allowed',
    policy: 'bar-1/p',
    client: CLIENT,
    server: SERVER,
    bytesSent: 10,
    bytesReceived: 20,
    hops: ['ztunnel@node-a', 'ztunnel@node-b'],
  })
})

t.test('each kind of evidence can contradict', async (t) => {
  const problems = (changed: Partial<Evidence>): string =>
    observe({ ...evidence, ...changed }).problems.join('; ')
  const wire = evidence.wire
  t.match(problems({ wire: { ...wire, markerSeen: true } }), /marker was readable/)
  t.match(problems({ wire: { ...wire, tls: false } }), /no TLS handshake/)
  t.match(problems({ wire: { ...wire, protocol: 'plain' } }), /wire: expected HBONE, got plain/)
  t.match(
    problems({ records: [outbound] }),
    /hops: expected ztunnel@node-a, ztunnel@node-b, got ztunnel@node-a;/,
  )
  t.match(
    problems({ records: [outbound, { ...inbound, policy: undefined }] }),
    /policy: expected bar-1\/p, got none/,
  )
  const impostor = { ...inbound, sourceIdentity: 'spiffe://cluster.local/ns/foo/sa/web' }
  t.match(problems({ records: [outbound, impostor] }), /identity of the client: expected .*sleep, got .*web/)
  t.match(problems({ report: { ...evidence.report, markerReturned: false } }), /not the expected one/)
  t.match(
    problems({ report: { ok: false, error: 'socket hang up', milliseconds: 1 } }),
    /verdict: .* got failed/,
  )
})

t.test('denied is what the inbound proxy says, not what the client suffers', async (t) => {
  const denied: AccessRecord = {
    ...inbound,
    policy: 'bar-1/deny',
    error: 'connection closed due to policy rejection: explicitly denied by: bar-1/deny',
  }
  const report = { ok: false, error: 'socket hang up', milliseconds: 1 }
  t.match(observe({ ...evidence, report, records: [outbound, denied] }), {
    verdict: 'denied',
    policy: 'bar-1/deny',
  })
  t.equal(observe({ ...evidence, report, records: [outbound] }).verdict, 'failed')
})

t.test('a refusal must be the policies, for the reason that was expected', async (t) => {
  const refused = (policy: string | undefined, wire: 'HBONE' | 'plain'): Scenario => ({
    ...scenario,
    expected: { ...scenario.expected, verdict: 'denied', policy, wire },
  })
  const report = { ok: false, error: 'socket hang up', milliseconds: 1 }
  const told: AccessRecord = { ...outbound, error: 'http status: 401 Unauthorized' }
  const noneAllowed: AccessRecord = {
    ...inbound,
    policy: undefined,
    error: 'connection closed due to policy rejection: allow policies exist, but none allowed',
  }
  const problems = (changed: Partial<Evidence>): string =>
    observe({ ...evidence, report, scenario: refused(undefined, 'HBONE'), ...changed }).problems.join('; ')
  t.equal(problems({ records: [told, noneAllowed] }), '')
  t.match(problems({ records: [outbound, noneAllowed] }), /status of the tunnel: expected 401, got none/)
  t.match(
    problems({ records: [told, noneAllowed], scenario: refused('bar-1/deny', 'HBONE') }),
    /refusal: expected "explicitly denied by: bar-1\/deny", got .*none allowed/,
  )
  t.match(
    problems({ records: [told] }),
    /verdict: expected denied, got failed/,
    'a client fails in many ways',
  )
})

t.test('a refusal in plaintext may come before the first byte, an answer may not', async (t) => {
  const wire = { protocol: 'nothing', markerSeen: false, tls: false, packets: 0, flows: [] } as const
  const expected = { ...scenario.expected, wire: 'plain' } as const
  const wireProblems = (verdict: 'allowed' | 'denied') =>
    observe({
      ...evidence,
      wire,
      scenario: { ...scenario, expected: { ...expected, verdict } },
    }).problems.filter((problem) => /wire/.test(problem))
  t.same(wireProblems('denied'), [])
  t.not(wireProblems('allowed').length, 0)
})

t.test('dry-run policies that matched are compared where they are looked for', async (t) => {
  const line = { proxy: 'ztunnel@node-b', source: inbound.source }
  const verdicts = [
    { ...line, message: 'dry-run: deny policy match', policy: 'bar-1/try' },
    { ...line, message: 'dry-run: no allow policies match', policy: undefined },
    { ...line, message: 'allow policy match', policy: 'bar-1/p' },
  ]
  const problems = (dryRun: readonly string[] | undefined) =>
    observe({
      ...evidence,
      verdicts,
      scenario: {
        ...scenario,
        expected: { ...scenario.expected, ...(dryRun === undefined ? {} : { dryRun }) },
      },
    }).problems
  t.same(problems(undefined), [])
  t.same(problems(['bar-1/try']), [])
  t.same(problems([]), ['dry-run policies: expected none, got bar-1/try'])
})

t.test('a connection is told from others that end at the same time', async (t) => {
  const { report } = evidence
  const foreign: AccessRecord = { ...outbound, source: '10.244.1.10:40001', traceId: 't2' }
  const foreignInbound: AccessRecord = { ...inbound, traceId: 't2' }
  t.same(recordsOf([foreign, foreignInbound, inbound, outbound], report, ENDS), [outbound, inbound])
})

t.test('plaintext carries no trace id', async (t) => {
  const { report } = evidence
  const plain: AccessRecord = { ...inbound, traceId: undefined, destination: '10.244.2.12:8000' }
  t.same(recordsOf([outbound, plain], report, ENDS), [outbound, plain], "from the client's own proxy")
  const direct: AccessRecord = { ...plain, source: '10.244.1.10:40000' }
  t.same(recordsOf([direct], report, ENDS), [direct], 'from an uncaptured client')
  t.same(recordsOf([plain], report, ENDS), [], 'from another port of it')
})

t.test('IPv6 endpoints are logged in brackets, and reported without', async (t) => {
  const report = { ...evidence.report, localAddress: 'fd00:10:244:1::10' }
  const ends = { ...ENDS, clientAddress: 'fd00:10:244:1::10', serverAddresses: ['fd00:10:244:2::12'] }
  const own: AccessRecord = { ...outbound, source: '[fd00:10:244:1::10]:40000' }
  t.same(recordsOf([own, inbound], report, ends), [own, inbound])
  const direct: AccessRecord = {
    ...inbound,
    traceId: undefined,
    source: own.source,
    destination: '[fd00:10:244:2::12]:8000',
  }
  t.same(recordsOf([direct], report, ends), [direct])
})

t.test('a large transfer is right only byte for byte', async (t) => {
  const download: Scenario = { ...scenario, traffic: { kind: 'download', bytes: 5 } }
  const report = { ...evidence.report, received: 5, sha256: 'a', announcedSha256: 'a' }
  t.same(observe({ ...evidence, scenario: download, report }).problems, [])
  t.match(observe({ ...evidence, scenario: download, report: { ...report, received: 4 } }).problems, [
    /received 4/,
  ])
  t.match(observe({ ...evidence, scenario: download, report: { ...report, sha256: 'b' } }).problems, [
    /SHA-256/,
  ])
})
