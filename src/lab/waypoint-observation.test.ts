import t from 'tap'
import type { AccessRecord } from './access-record.ts'
import { type Evidence, observe } from './observation.ts'
import type { RequestRecord } from './request-record.ts'
import { COEXISTENCE, type Scenario } from './scenario.ts'

const spiffe = (name: string): string => `spiffe://cluster.local/ns/${name.replace('/', '/sa/')}`
const [CLIENT, WAYPOINT, SERVER] = [spiffe('foo/sleep'), spiffe('bar-2/waypoint'), spiffe('bar-2/helloworld')]

const outbound: AccessRecord = {
  proxy: 'ztunnel@node-a',
  direction: 'outbound',
  source: '10.244.1.10:40000',
  sourceWorkload: 'foo/sleep',
  sourceIdentity: CLIENT,
  destination: '10.244.3.10:15008',
  hboneAddress: '10.96.4.20:80',
  destinationWorkload: 'bar-2/waypoint',
  destinationIdentity: WAYPOINT,
  bytesSent: 10,
  bytesReceived: 20,
  duration: '9ms',
  error: undefined,
  policy: undefined,
  traceId: 't1',
}
/** The connection behind the waypoint, opened for an earlier request. */
const arrival: AccessRecord = {
  ...outbound,
  proxy: 'ztunnel@node-d',
  direction: 'inbound',
  sourceIdentity: WAYPOINT,
  destinationIdentity: SERVER,
  traceId: 'another',
}
const sentUp: AccessRecord = {
  ...arrival,
  source: '10.244.2.20:40000',
  sourceIdentity: undefined,
  destinationIdentity: undefined,
  traceId: undefined,
}
const request: RequestRecord = {
  proxy: 'waypoint@bar-2/waypoint',
  method: 'GET',
  path: '/v2/hello?marker=m',
  status: 200,
  flags: '-',
  details: 'via_upstream',
  route: 'HTTPRoute/bar-2/helloworld',
  rule: 'preview',
  policy: undefined,
  upstreamHost: '10.244.4.22:8000',
  tries: 1,
  source: outbound.source,
  sourceWorkload: 'foo/sleep',
  sourceIdentity: CLIENT,
  destinationWorkload: 'bar-2/helloworld-v2',
  destinationIdentity: SERVER,
  service: 'helloworld.bar-2.svc.cluster.local',
  traceId: 't1',
}
const wire = { protocol: 'HBONE', markerSeen: false, tls: true, packets: 9, flows: [] } as const
const evidence = (id: string, changed: Partial<Evidence> = {}): Evidence => ({
  scenario: scenario(id),
  dialled: '10.96.4.20:80',
  report: { ok: true, status: 200, statuses: [200], markerReturned: true, milliseconds: 1 },
  records: [outbound],
  requests: [request],
  arrivals: [arrival],
  wire,
  ...changed,
})
const denied: RequestRecord = {
  ...request,
  status: 403,
  policy: 'bar-2/no-reset',
  route: undefined,
  rule: undefined,
  upstreamHost: undefined,
  destinationWorkload: undefined,
  destinationIdentity: undefined,
}
const refusal = { ok: true, status: 403, statuses: [403], body: 'RBAC: access denied', milliseconds: 1 }

t.test('hops, identities and backend come from the logs of all three', async (t) => {
  const observation = observe(evidence('waypoint-route'))
  t.same(observation.problems, [])
  t.match(observation, {
    verdict: 'allowed',
    hops: ['ztunnel@node-a', 'waypoint@bar-2/waypoint', 'ztunnel@node-d'],
    client: CLIENT,
    server: SERVER,
    waypoint: { identity: WAYPOINT },
  })
  t.same([...(observation.waypoint?.backends ?? [])], [['bar-2/helloworld-v2', 1]])
})

t.test('each kind of evidence can contradict', async (t) => {
  const problems = (changed: Partial<Evidence>): string =>
    observe(evidence('waypoint-route', changed)).problems.join('; ')
  t.match(problems({ requests: [] }), /hops: .*requests at the waypoint: expected 1, got 0/)
  t.match(problems({ arrivals: [] }), /hops: expected .*node-d, got/)
  t.match(problems({ requests: [{ ...request, rule: 'split' }] }), /route: expected .*preview, got .*split/)
  t.match(
    problems({ requests: [{ ...request, destinationWorkload: 'bar-2/helloworld-v1' }] }),
    /backends: bar-2\/helloworld-v1 had no request to get/,
  )
  t.match(
    problems({ requests: [{ ...request, sourceIdentity: spiffe('foo/web') }] }),
    /identity of the client: expected .*sleep, got .*web/,
  )
  t.match(
    problems({ records: [{ ...outbound, destinationIdentity: SERVER }] }),
    /identity of the waypoint: expected .*waypoint, got .*helloworld and .*waypoint/,
  )
  t.match(
    problems({ report: { ok: true, status: 503, statuses: [503], milliseconds: 1 } }),
    /status: expected 200, got 503/,
  )
})

t.test('a split needs all of its backends', async (t) => {
  const requests = Array.from({ length: 60 }, () => ({ ...request, rule: 'split' }))
  const report = {
    ok: true,
    status: 200,
    statuses: Array(60).fill(200),
    markerReturned: true,
    milliseconds: 1,
  }
  t.match(
    observe(evidence('waypoint-split', { requests, report })).problems.join(),
    /helloworld-v1 got none of 60/,
  )
})

t.test('a refused request ends at the waypoint, in words that Istio users know', async (t) => {
  const refused = (changed: Partial<Evidence>) =>
    observe(evidence('waypoint-denied', { report: refusal, requests: [denied], arrivals: [], ...changed }))
  t.same(refused({}).problems, [])
  t.match(refused({}), { verdict: 'denied', policy: 'bar-2/no-reset', server: WAYPOINT })
  t.match(
    refused({ report: { ...refusal, body: 'no' } }).problems.join(),
    /body: expected RBAC: access denied, got no/,
  )
  t.match(
    refused({ requests: [{ ...denied, policy: 'bar-2/no-admin' }] }).problems.join(),
    /policy: expected bar-2\/no-reset, got bar-2\/no-admin/,
  )
  t.match(refused({ requests: [request] }).problems.join(), /verdict: expected denied, got allowed/)
})

t.test('who dials the pod is sent up, and proves nothing', async (t) => {
  const { destinationIdentity, sourceIdentity, route, rule, ...rest } = request
  const hairpin = observe(
    evidence('hairpin', {
      wire: { ...wire, protocol: 'plain', markerSeen: true },
      records: [sentUp],
      requests: [
        {
          ...rest,
          destinationWorkload: 'bar-2/helloworld-v1',
          destinationIdentity: undefined,
          sourceIdentity: undefined,
          route: undefined,
          rule: undefined,
        },
      ],
    }),
  )
  t.same(hairpin.problems, [])
  t.same(hairpin.hops, ['ztunnel@node-d', 'waypoint@bar-2/waypoint', 'ztunnel@node-d'])
  t.equal(hairpin.client, undefined)
  t.equal(hairpin.server, SERVER)
})

function scenario(id: string): Scenario {
  const found = COEXISTENCE.find((candidate) => candidate.id === id)
  if (found === undefined) throw new Error(`no ${id}`)
  return found
}
