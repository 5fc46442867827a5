import t from 'tap'
import { AccessJournal } from './access-journal.ts'
import { parseRequestRecord } from './request-record.ts'

const LINE = {
  level: 'info',
  scope: 'access',
  message: 'request',
  method: 'GET',
  path: '/v2/hello',
  response_code: 200,
  response_flags: '-',
  response_code_details: 'via_upstream',
  upstream_host: '10.244.4.22:8000',
  route_name: 'HTTPRoute/bar-2/helloworld',
  route_rule: 'preview',
  'src.addr': '10.244.1.10:40000',
  'src.workload': 'sleep',
  'src.namespace': 'foo',
  'src.identity': 'spiffe://cluster.local/ns/foo/sa/sleep',
  'dst.service': 'helloworld.bar-2.svc.cluster.local',
  'dst.workload': 'helloworld-v2',
  'dst.namespace': 'bar-2',
  trace_id: 't1',
}
const parse = (fields: object) => parseRequestRecord('waypoint@bar-2/waypoint', JSON.stringify(fields))

t.test('a request, as the waypoint logged it', async (t) => {
  t.match(parse(LINE), {
    proxy: 'waypoint@bar-2/waypoint',
    method: 'GET',
    path: '/v2/hello',
    status: 200,
    route: 'HTTPRoute/bar-2/helloworld',
    rule: 'preview',
    upstreamHost: '10.244.4.22:8000',
    tries: 1,
    sourceWorkload: 'foo/sleep',
    sourceIdentity: LINE['src.identity'],
    destinationWorkload: 'bar-2/helloworld-v2',
    traceId: 't1',
  })
  t.equal(parse({ ...LINE, tries: 2 })?.tries, 2)
})

t.test('nothing else is one', async (t) => {
  t.equal(parse({ ...LINE, message: 'connection complete' }), undefined)
  t.equal(parse({ ...LINE, scope: 'waypoint' }), undefined)
  t.equal(parseRequestRecord('w', 'no JSON'), undefined)
})

t.test('the journal keeps them, and tells of them', async (t) => {
  const journal = new AccessJournal()
  const told: unknown[] = []
  const stop = journal.watch((record) => told.push(record))
  journal.read('w', JSON.stringify(LINE))
  stop()
  journal.read('w', JSON.stringify(LINE))
  t.equal(journal.requests.length, 2)
  t.equal(journal.length, 0, 'it is no connection')
  t.same(told, [journal.requests[0]])
})
