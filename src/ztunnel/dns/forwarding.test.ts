import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { decode, encode } from 'dns-packet'
import t from 'tap'
import {
  type AnswerWith,
  answered,
  question,
  records,
  resolveOverUdp,
  startDns,
  startNameServer,
} from './test-support.ts'

const NXDOMAIN = 3
const SERVFAIL = 2
const REFUSED = 5

const anAnswer: AnswerWith = (query) =>
  answered(query, {
    flags: 0x0400 | 0x0080,
    answers: [{ type: 'A', name: 'example.com', data: '192.0.2.1', ttl: 60 }],
  })

t.test('12.8 an unknown name goes to the name server, its answer back', async (t) => {
  const nameServer = await startNameServer(t, anAnswer)
  const { udp } = await startDns(t, { nameServer })
  const reply = await resolveOverUdp(udp, question('example.com'))
  t.match(reply, { id: 0x1234, rcode: 'NOERROR', flag_aa: false, flag_ra: true })
  t.strictSame(records(reply), [['example.com', 'A', '192.0.2.1']])
})

t.test('12.8 the question goes up as it came, but for the id', async (t) => {
  const nameServer = await startNameServer(t, anAnswer)
  const { udp } = await startDns(t, { nameServer })
  const ids = new Set<number>()
  for (let n = 0; n < 8; n++) {
    await resolveOverUdp(udp, question('ExAmple.com'))
    ids.add(nameServer.messages.at(-1)?.readUInt16BE(0) ?? 0)
  }
  t.ok(
    nameServer.messages.every((message) => message.subarray(2).equals(question('ExAmple.com').subarray(2))),
  )
  t.ok(ids.size > 6, 'ids are random')
})

t.test('12.8 NXDOMAIN comes back, with what tells how long it holds', async (t) => {
  const soa = {
    mname: 'ns.test',
    rname: 'root.test',
    serial: 1,
    refresh: 1,
    retry: 1,
    expire: 1,
    minimum: 30,
  }
  const nameServer = await startNameServer(t, (query) =>
    answered(query, { flags: NXDOMAIN, authorities: [{ type: 'SOA', name: 'test', data: soa }] }),
  )
  const { udp, metrics } = await startDns(t, { nameServer })
  t.match(await resolveOverUdp(udp, question('no.test')), { rcode: 'NXDOMAIN', authorities: [{ data: soa }] })
  t.notMatch(
    await metrics.exposition(),
    'istio_dns_upstream_failures_total{',
    'a name that does not exist is no failure',
  )
})

t.test('12.8 an answer that does not come is SERVFAIL', async (t) => {
  const nameServer = await startNameServer(t, () => undefined)
  const { udp, log } = await startDns(t, { nameServer, resolv: { timeoutMs: 50, attempts: 2 } })
  t.match(await resolveOverUdp(udp, question('slow.test')), { rcode: 'SERVFAIL' })
  t.equal(nameServer.asked.length, 2, 'asked again')
  t.match(log, [
    { result: `forwarding failed (name server 127.0.0.1:${nameServer.port} did not answer in 50 ms)` },
  ])
})

t.test('12.8 nobody at the name server’s port is SERVFAIL at once', async (t) => {
  const silent = createSocket('udp4')
  await once(silent.bind(0, '127.0.0.1'), 'listening')
  const { port } = silent.address()
  silent.close()
  const { udp, log } = await startDns(t, {
    nameServer: { port, asked: [], messages: [] },
    resolv: { timeoutMs: 60_000 },
  })
  t.match(await resolveOverUdp(udp, question('example.com')), { rcode: 'SERVFAIL' })
  t.match(log, [{ result: /forwarding failed \(name server 127\.0\.0\.1:\d+: .*ECONNREFUSED/ }])
})

t.test('without a name server the answer is SERVFAIL, and the line says why', async (t) => {
  const { udp, log } = await startDns(t)
  t.match(await resolveOverUdp(udp, question('example.com')), { rcode: 'SERVFAIL' })
  t.match(log, [{ result: "forwarding failed (the proxy's /etc/resolv.conf names no name server)" }])
})

t.test('a name server that cannot has a neighbour that can', async (t) => {
  let asked = 0
  const nameServer = await startNameServer(t, (query, transport) => {
    asked += 1
    return asked === 1 ? answered(query, { flags: SERVFAIL }) : anAnswer(query, transport)
  })
  const { udp } = await startDns(t, { nameServer, resolv: { nameservers: ['127.0.0.1', '127.0.0.1'] } })
  t.match(await resolveOverUdp(udp, question('example.com')), {
    rcode: 'NOERROR',
    answers: [{ data: '192.0.2.1' }],
  })
  t.equal(asked, 2)
})

t.test('12.8 when all refuse, their word is passed on', async (t) => {
  const nameServer = await startNameServer(t, (query) => answered(query, { flags: REFUSED }))
  const { udp } = await startDns(t, {
    nameServer,
    resolv: { nameservers: ['127.0.0.1', '127.0.0.1'], attempts: 3 },
  })
  t.match(await resolveOverUdp(udp, question('example.com')), { rcode: 'REFUSED' })
  t.equal(nameServer.asked.length, 2)
})

t.test('a forged answer is passed over: wrong id, wrong question, or no answer at all', async (t) => {
  const nameServer = await startNameServer(t, anAnswer)
  const forger = createSocket('udp4')
  await once(forger.bind(0, '127.0.0.1'), 'listening')
  t.teardown(() => forger.close())
  forger.on('message', (query, { port, address }) => {
    const { id = 0 } = decode(query)
    const evil = { type: 'A', name: 'example.com', data: '203.0.113.66' } as const
    const forged = [
      answered(query, { id: id ^ 1, answers: [evil] }),
      encode({ type: 'response', id, questions: [{ type: 'A', name: 'example.org' }], answers: [evil] }),
      encode({ type: 'query', id, questions: [{ type: 'A', name: 'example.com' }], answers: [evil] }),
      Buffer.from('x'),
    ]
    for (const message of [...forged, anAnswer(query, 'udp') ?? Buffer.alloc(0)])
      forger.send(message, port, address)
  })
  const { udp } = await startDns(t, { nameServer: { ...nameServer, port: forger.address().port } })
  t.strictSame(records(await resolveOverUdp(udp, question('example.com'))), [
    ['example.com', 'A', '192.0.2.1'],
  ])
})

t.test('12.8 a truncated answer is passed on to a client of UDP, who then comes over TCP', async (t) => {
  const nameServer = await startNameServer(t, (query) => answered(query, { flags: 0x0200 }))
  const { udp } = await startDns(t, { nameServer })
  t.match(await resolveOverUdp(udp, question('large.test')), { rcode: 'NOERROR', flag_tc: true })
})

t.test('256 look-ups wait; one more is refused at once rather than kept', async (t) => {
  const nameServer = await startNameServer(t, () => undefined)
  const { proxy, log } = await startDns(t, { nameServer, resolv: { timeoutMs: 30_000 } })
  const waiting = Array.from({ length: 256 }, () => proxy.lookup('slow.test'))
  await t.rejects(proxy.lookup('slow.test'), { code: 'refused' })
  t.match(log, [{ result: 'forwarding failed (256 look-ups of this workload wait for name servers)' }])
  proxy.close()
  t.ok((await Promise.allSettled(waiting)).every(({ status }) => status === 'rejected'))
})

t.test('closing ends what is under way', async (t) => {
  const nameServer = await startNameServer(t, () => {
    proxy.close()
    return undefined
  })
  const { proxy } = await startDns(t, { nameServer, resolv: { timeoutMs: 60_000 } })
  await t.rejects(proxy.lookup('slow.test'), { name: 'DnsError' })
})
