import t from 'tap'
import { bootstrap, connectionManager, type Json, tcpProxy } from '../sidecar/index.ts'
import { parseEnvoyRecord, withAccessRecords } from './envoy-record.ts'

const PROXY = 'sidecar@bar/httpbin'
const POD = new Map([
  ['10.244.1.10', 'foo/sleep'],
  ['10.244.2.10', 'bar/httpbin'],
])
const read = (fields: object) =>
  parseEnvoyRecord(PROXY, JSON.stringify(fields), (address) => POD.get(address))

const INBOUND = {
  ztunnel_lab: 'inbound',
  source: '10.244.1.10:45850',
  destination: '10.244.2.10:15008',
  authority: '10.244.2.10:8000',
  peer: 'spiffe://cluster.local/ns/foo/sa/sleep',
  code: 200,
  traceparent: '00-d69e2e4113d17f3f64bd945c5c5e589f-1111111111111111-01',
  from_client: 139,
  to_client: 432,
  milliseconds: 13,
  flags: '-',
  details: 'via_upstream',
  end: null,
}
const OUTBOUND = {
  ...INBOUND,
  ztunnel_lab: 'outbound',
  host: '10.244.2.10:15008',
  peer: 'spiffe://cluster.local/ns/bar/sa/httpbin',
  code: undefined,
  traceparent: undefined,
}

t.test('a tunnel that ends in Envoy', async (t) => {
  t.same(read(INBOUND), {
    proxy: PROXY,
    direction: 'inbound',
    source: '10.244.1.10:45850',
    sourceWorkload: 'foo/sleep',
    sourceIdentity: 'spiffe://cluster.local/ns/foo/sa/sleep',
    destination: '10.244.2.10:15008',
    hboneAddress: '10.244.2.10:8000',
    destinationWorkload: 'bar/httpbin',
    destinationIdentity: undefined,
    bytesSent: 432,
    bytesReceived: 139,
    duration: '13ms',
    error: undefined,
    policy: undefined,
    traceId: 'd69e2e4113d17f3f64bd945c5c5e589f',
  })
})

t.test('a tunnel that Envoy opens: what the client sent is what goes on', async (t) => {
  t.match(read(OUTBOUND), {
    direction: 'outbound',
    destinationIdentity: 'spiffe://cluster.local/ns/bar/sa/httpbin',
    sourceIdentity: undefined,
    bytesSent: 139,
    bytesReceived: 432,
    destination: '10.244.2.10:15008',
  })
})

t.test('how a connection failed', async (t) => {
  const refused = { ...INBOUND, code: 403, details: 'rbac_access_denied_matched_policy[bar/deny[12]]' }
  t.match(read(refused), { policy: 'bar/deny', error: /^policy rejection by Envoy: rbac_access_denied/ })
  t.equal(read({ ...INBOUND, code: 503, details: 'no_healthy_upstream' })?.error, '503 no_healthy_upstream')
  t.equal(read({ ...OUTBOUND, flags: 'UF,URX', details: 'x:401' })?.error, 'UF,URX x:401')
})

t.test('lines that tell of no connection of the pod', async (t) => {
  t.equal(
    parseEnvoyRecord(PROXY, 'terminate authority=10.244.2.10:8000', () => undefined),
    undefined,
  )
  t.equal(read({ level: 'info' }), undefined)
  const inward = { ...OUTBOUND, host: 'envoy://connect_originate/10.244.2.10:8000' }
  t.equal(read(inward), undefined, 'the listener behind tells of it')
})

t.test('a bootstrap is only added to', async (t) => {
  const existing = { access_log: [{ name: 'own' }] }
  const manager = connectionManager('connect_terminate', [], existing)
  const listener = (name: string, filter: Json): Json => ({ name, filter_chains: [{ filters: [filter] }] })
  const given = bootstrap(
    [
      listener('connect_terminate', manager),
      { ...listener('virtualOutbound', tcpProxy('x')), default_filter_chain: { filters: [tcpProxy('z')] } },
      listener('main_internal', tcpProxy('y')),
    ],
    [],
  )
  const logged = (cluster: string): object => ({
    filters: [{ name: /set_filter_state/ }, { typed_config: { cluster, access_log: [{}] } }],
  })
  const before = JSON.stringify(given)
  const made = withAccessRecords(given)
  t.equal(JSON.stringify(given), before, 'the given one is left alone')
  t.match(made, {
    admin: given['admin'],
    static_resources: {
      listeners: [
        { filter_chains: [{ filters: [{ typed_config: { access_log: [{ name: 'own' }, {}] } }] }] },
        { filter_chains: [logged('x')], default_filter_chain: logged('z') },
        listener('main_internal', tcpProxy('y')),
      ],
    },
  })
})
