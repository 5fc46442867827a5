import { createSocket } from 'node:dgram'
import { decode } from 'dns-packet'
import fc from 'fast-check'
import t from 'tap'
import { MeshStore } from '../../mesh/index.ts'
import { aService, aWorkload } from '../../mesh/test-support.ts'
import { createLocalWorkload } from '../proxy/local-workload.ts'
import {
  aMesh,
  answered,
  askOverUdp,
  CLIENT,
  opt,
  question,
  records,
  resolveOverUdp,
  startDns,
  startNameServer,
} from './test-support.ts'

t.test('12.6 a service’s name is answered over UDP', async (t) => {
  const { udp } = await startDns(t)
  const reply = await resolveOverUdp(udp, question('httpbin.bar.svc.cluster.local'))
  t.match(reply, { id: 0x1234, rcode: 'NOERROR', flag_aa: true, flag_ra: true })
  t.strictSame(records(reply), [['httpbin.bar.svc.cluster.local', 'A', '10.96.0.1']])
})

t.test('12.6 a known name without the family is NOERROR and empty, and nobody else is asked', async (t) => {
  const nameServer = await startNameServer(t, (query) => answered(query, {}))
  const { udp } = await startDns(t, { nameServer })
  const reply = await resolveOverUdp(udp, question('httpbin.bar', 'AAAA'))
  t.match(reply, { rcode: 'NOERROR', flag_aa: true, answers: [] })
  t.strictSame(nameServer.asked, [])
})

t.test('12.2 other types are forwarded, of known names too', async (t) => {
  const nameServer = await startNameServer(t, (query) =>
    answered(query, { answers: [{ type: 'TXT', name: 'httpbin.bar', data: 'elsewhere' }] }),
  )
  const { udp } = await startDns(t, { nameServer })
  const reply = await resolveOverUdp(udp, question('httpbin.bar', 'TXT'))
  t.match(reply.answers, [{ type: 'TXT' }])
  t.strictSame(nameServer.asked, ['udp'])
})

t.test('12.2 a response over UDP is not answered: two such servers would never stop', async (t) => {
  const { udp } = await startDns(t)
  const response = question('httpbin.bar')
  response.writeUInt16BE(0x8180, 2)
  const status = question('httpbin.bar')
  status.writeUInt16BE(2 << 11, 2)
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  const replies: Buffer[] = []
  const second = new Promise<void>((resolve) => {
    socket.on('message', (reply) => {
      replies.push(reply)
      resolve()
    })
  })
  socket.send(response, udp.port, udp.address)
  socket.send(status, udp.port, udp.address)
  await second
  t.strictSame(
    replies.map((reply) => Reflect.get(decode(reply), 'rcode')),
    ['NOTIMP'],
  )
})

t.test('12.1 the client is waited for while the control plane has not sent it', async (t) => {
  const mesh = new MeshStore()
  mesh.upsertService(aService({ name: 'httpbin', namespace: 'bar' }))
  const { udp } = await startDns(t, { mesh, local: createLocalWorkload(mesh, CLIENT) })
  const reply = resolveOverUdp(udp, question('httpbin.bar'))
  await askOverUdp(udp, Buffer.from([0, 1, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0]))
  mesh.upsertWorkload(CLIENT)
  t.match(await reply, { rcode: 'NOERROR', answers: [{ data: '10.96.0.1' }] })
})

t.test('12.1 without it the answer is SERVFAIL', async (t) => {
  const local = {
    info: CLIENT,
    peek: () => undefined,
    get: () => Promise.reject(new Error('the control plane has not sent it')),
  }
  const { udp } = await startDns(t, { local })
  t.match(await resolveOverUdp(udp, question('httpbin.bar')), { rcode: 'SERVFAIL', flag_aa: false })
})

t.test('12.9 UDP is cut to what the client takes', async (t) => {
  const mesh = aMesh()
  const addresses = Array.from({ length: 60 }, (_, n) => ({ network: '', address: `10.97.0.${n}` }))
  mesh.upsertService(aService({ name: 'many', namespace: 'bar', addresses }))
  const { udp } = await startDns(t, { mesh })
  const count = async (message: Buffer): Promise<readonly [boolean, number | undefined]> => {
    const { flag_tc, answers } = await resolveOverUdp(udp, message)
    return [flag_tc, answers?.length]
  }
  t.strictSame(await count(question('many.bar')), [true, 30])
  t.strictSame(await count(question('many.bar', 'A', { additionals: [opt(1232)] })), [false, 60])
})

t.test('12.11 one line for each question, at debug level', async (t) => {
  const nameServer = await startNameServer(t, (query) => answered(query, { flags: 3 }))
  const { udp, log } = await startDns(t, { nameServer })
  await askOverUdp(udp, question('httpbin.bar'))
  await askOverUdp(udp, question('httpbin.bar', 'AAAA'))
  await askOverUdp(udp, question('example.com'))
  const common = { level: 'debug', 'src.workload': 'sleep', 'src.namespace': 'foo' }
  t.match(
    log.filter(({ message }) => message === 'dns request'),
    [
      { ...common, query: 'a', domain: 'httpbin.bar', result: 'success', endpoints: 1 },
      { ...common, query: 'aaaa', domain: 'httpbin.bar', result: 'no records', endpoints: 0 },
      { ...common, query: 'a', domain: 'example.com', result: 'forwarding failed (rcode 3)', endpoints: 0 },
    ],
  )
})

t.test('14.2 questions, those forwarded, and how long that took', async (t) => {
  const nameServer = await startNameServer(t, (query) => answered(query, { flags: 2 }))
  const { udp, metrics } = await startDns(t, { nameServer })
  await askOverUdp(udp, question('httpbin.bar'))
  await askOverUdp(udp, question('example.com', 'AAAA'))
  const text = await metrics.exposition()
  const labels = (type: string): string =>
    `request_query_type="${type}",request_protocol="udp",source_canonical_service="sleep",source_canonical_revision="v1"`
  for (const line of [
    `istio_dns_requests_total{${labels('a')}} 1`,
    `istio_dns_requests_total{${labels('aaaa')}} 1`,
    `istio_dns_upstream_requests_total{${labels('aaaa')}} 1`,
    `istio_dns_upstream_failures_total{${labels('aaaa')}} 1`,
  ]) {
    t.ok(text.includes(`${line}\n`), line)
  }
  t.notMatch(text, `istio_dns_upstream_requests_total{${labels('a')}}`)
  t.match(text, /istio_dns_upstream_request_duration_seconds_bucket\{le="0.0005",.*request_query_type="aaaa"/)
  t.match(text, /istio_dns_upstream_request_duration_seconds_count\{request_query_type="aaaa".*\} 1\n/)
  for (const [, help] of text.matchAll(/^# HELP istio_dns\S+ (.*)$/gm)) t.match(help, '(unstable)')
})

t.test('14.2 a workload without a canonical name counts as unknown', async (t) => {
  const mesh = aMesh()
  mesh.upsertWorkload(aWorkload({ ...CLIENT, canonicalName: '', canonicalRevision: '' }))
  const { udp, metrics } = await startDns(t, { mesh })
  await askOverUdp(udp, question('httpbin.bar'))
  t.match(
    await metrics.exposition(),
    'source_canonical_service="unknown",source_canonical_revision="unknown"',
  )
})

t.test('any datagram is survived', async (t) => {
  const { udp } = await startDns(t)
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  const send = (bytes: Uint8Array): Promise<void> =>
    new Promise((resolve) => socket.send(bytes, udp.port, udp.address, () => resolve()))
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      await send(bytes)
      // The next one is answered; it also gives the receiver its turn.
      await askOverUdp(udp, question('httpbin.bar'))
    }),
    { numRuns: 300 },
  )
  t.pass()
})
