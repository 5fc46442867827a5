import { decode } from 'dns-packet'
import t from 'tap'
import { decodeQuery, type Query } from './message.ts'
import { encodeAnswer, encodeFailure, encodeRefusal, encodeTruncated, fits, relayReply } from './reply.ts'
import { answered, opt, question, records } from './test-support.ts'

function parsed(message: Buffer): Query {
  const incoming = decodeQuery(message)
  if (incoming.kind !== 'query') throw new Error(incoming.kind)
  return incoming.query
}

const addresses = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, n) => `10.1.${n >> 8}.${n & 255}`)

t.test('12.6 addresses: authoritative, recursion available, 30 seconds', async (t) => {
  const query = parsed(question('Web.bar'))
  const reply = decode(
    encodeAnswer(query, { alias: undefined, addresses: ['10.96.0.7', '10.96.0.8'] }, 'udp'),
  )
  t.match(reply, {
    id: 0x1234,
    type: 'response',
    rcode: 'NOERROR',
    flag_aa: true,
    flag_ra: true,
    flag_rd: true,
    flag_tc: false,
  })
  t.strictSame(records(reply), [
    ['Web.bar', 'A', '10.96.0.7'],
    ['Web.bar', 'A', '10.96.0.8'],
  ])
  t.match(reply.answers, [{ ttl: 30 }, { ttl: 30 }])
  t.match(reply.questions, [{ name: 'Web.bar', type: 'A' }], 'the name as it was asked')
})

t.test('12.6 IPv6, and a known name without records', async (t) => {
  const query = parsed(question('web.bar', 'AAAA'))
  const six = decode(encodeAnswer(query, { alias: undefined, addresses: ['fd00::7'] }, 'udp'))
  t.strictSame(records(six), [['web.bar', 'AAAA', 'fd00::7']])
  const none = decode(encodeAnswer(query, { alias: undefined, addresses: [] }, 'udp'))
  t.match(none, { rcode: 'NOERROR', flag_aa: true, answers: [] })
})

t.test('12.7 a CNAME, and the addresses under its target', async (t) => {
  const query = parsed(question('web.bar.foo.svc.cluster.local'))
  const reply = decode(
    encodeAnswer(query, { alias: 'web.bar', addresses: ['10.96.0.7', '10.96.0.8'] }, 'udp'),
  )
  t.strictSame(records(reply), [
    ['web.bar.foo.svc.cluster.local', 'CNAME', 'web.bar'],
    ['web.bar', 'A', '10.96.0.7'],
    ['web.bar', 'A', '10.96.0.8'],
  ])
})

t.test('12.9 EDNS is repeated, the size not below 512', async (t) => {
  const extra = (message: Buffer): unknown => decode(message).additionals
  const answer = { alias: undefined, addresses: ['10.96.0.7'] }
  const large = parsed(question('web.bar', 'A', { additionals: [opt(1400, 0x8000)] }))
  t.match(extra(encodeAnswer(large, answer, 'udp')), [
    { type: 'OPT', udpPayloadSize: 1400, flag_do: true, ednsVersion: 0 },
  ])
  const small = parsed(question('web.bar', 'A', { additionals: [opt(100)] }))
  t.match(extra(encodeFailure(small, 2)), [{ type: 'OPT', udpPayloadSize: 512, flag_do: false }])
  t.strictSame(extra(encodeAnswer(parsed(question('web.bar')), answer, 'udp')), [])
})

t.test('12.9 what does not fit is left out, and TC says so', async (t) => {
  const all = { alias: undefined, addresses: addresses(100) }
  const table = [
    { what: 'without EDNS', message: question('web.bar'), limit: 512 },
    { what: 'EDNS 1232', message: question('web.bar', 'A', { additionals: [opt(1232)] }), limit: 1232 },
    { what: 'EDNS below 512', message: question('web.bar', 'A', { additionals: [opt(1)] }), limit: 512 },
  ]
  for (const { what, message, limit } of table) {
    const bytes = encodeAnswer(parsed(message), all, 'udp')
    const reply = decode(bytes)
    t.equal(reply.flag_tc, true, what)
    t.ok(bytes.length <= limit && bytes.length > limit - 16, `${what}: ${bytes.length} bytes`)
  }
  const over = decode(encodeAnswer(parsed(question('web.bar')), all, 'tcp'))
  t.match({ tc: over.flag_tc, count: over.answers?.length }, { tc: false, count: 100 }, 'TCP takes it all')
  const fitting = decode(
    encodeAnswer(parsed(question('web.bar')), { ...all, addresses: addresses(30) }, 'udp'),
  )
  t.match(
    { tc: fitting.flag_tc, count: fitting.answers?.length },
    { tc: false, count: 30 },
    'names are compressed',
  )
})

t.test('12.9 not even TCP takes more than 65,535 bytes', async (t) => {
  const bytes = encodeAnswer(
    parsed(question('web.bar')),
    { alias: undefined, addresses: addresses(5000) },
    'tcp',
  )
  t.ok(bytes.length <= 65_535)
  t.equal(decode(bytes).flag_tc, true)
})

t.test('12.8 a relayed reply changes its id and loses AA, and nothing else', async (t) => {
  const message = question('web.bar')
  const upstream = answered(message, {
    id: 0x9999,
    flags: 0x0400 | 0x0080,
    answers: [{ type: 'A', name: 'web.bar', data: '192.0.2.1', ttl: 7 }],
    authorities: [{ type: 'NS', name: 'bar', data: 'ns.bar' }],
  })
  const reply = relayReply(parsed(message), upstream)
  t.match(decode(reply), {
    id: 0x1234,
    flag_aa: false,
    flag_ra: true,
    answers: [{ ttl: 7 }],
    authorities: [{ data: 'ns.bar' }],
  })
  t.ok(reply.subarray(4).equals(upstream.subarray(4)))
})

t.test('12.9 a relayed reply that is too long is cut down to TC', async (t) => {
  const message = question('web.bar')
  const query = parsed(message)
  const upstream = answered(message, {
    answers: [
      { type: 'TXT', name: 'web.bar', data: 'x'.repeat(250) },
      { type: 'TXT', name: 'web.bar', data: 'y'.repeat(250) },
    ],
  })
  t.equal(fits(query, upstream, 'udp'), false)
  t.equal(fits(query, upstream, 'tcp'), true)
  t.match(decode(encodeTruncated(query, upstream)), {
    id: 0x1234,
    flag_tc: true,
    answers: [],
    questions: [{ name: 'web.bar' }],
  })
})

t.test('12.2 a refusal has the id and the opcode', async (t) => {
  t.match(decode(encodeRefusal(7, 2 << 11, 4)), {
    id: 7,
    type: 'response',
    rcode: 'NOTIMP',
    opcode: 'STATUS',
    questions: [],
  })
})
