import fc from 'fast-check'
import t from 'tap'
import { decodeQuery, FORMERR, NOTIMP } from './message.ts'
import { opt, question } from './test-support.ts'

const withFlags = (flags: number): Buffer => {
  const message = question('web.bar')
  message.writeUInt16BE(flags, 2)
  return message
}

t.test('a question is read', async (t) => {
  const message = question('WeB.bar', 'AAAA', { additionals: [opt(1232, 0x8000)] })
  t.match(decodeQuery(message), {
    kind: 'query',
    query: {
      id: 0x1234,
      name: 'web.bar',
      type: 28,
      typeName: 'aaaa',
      internet: true,
      edns: { payloadSize: 1232, version: 0, dnssecOk: true },
    },
  })
  const plain = decodeQuery(question('web.bar'))
  t.equal(plain.kind === 'query' ? plain.query.edns : 'refused', undefined)
})

t.test('types: by name where they have one, and never a name of the client’s making', async (t) => {
  const typed = (type: number): unknown => {
    const message = question('web.bar')
    message.writeUInt16BE(type, message.length - 4)
    const incoming = decodeQuery(message)
    return incoming.kind === 'query' ? incoming.query.typeName : incoming.kind
  }
  t.strictSame([1, 5, 12, 33, 64, 65, 255].map(typed), ['a', 'cname', 'ptr', 'srv', 'svcb', 'https', 'any'])
  const all = new Set(Array.from({ length: 0x10000 }, (_, type) => typed(type)))
  t.ok(all.has('unknown'))
  t.ok(all.size < 70, `${all.size} names for 65,536 types`)
})

t.test('12.2 what is no plain question is refused', async (t) => {
  const two = question('web.bar')
  two.writeUInt16BE(2, 4)
  const none = question('web.bar')
  none.writeUInt16BE(0, 4)
  const selfPointer = Buffer.concat([question('a').subarray(0, 12), Buffer.from([0xc0, 12, 0, 1, 0, 1])])
  const table: readonly (readonly [string, Buffer, object])[] = [
    ['a response', withFlags(0x8000), { kind: 'refused', rcode: FORMERR, response: true }],
    ['opcode STATUS', withFlags(2 << 11), { kind: 'refused', rcode: NOTIMP, response: false }],
    ['opcode UPDATE', withFlags(5 << 11), { kind: 'refused', rcode: NOTIMP }],
    ['two questions', two, { kind: 'refused', rcode: FORMERR }],
    ['no question', none, { kind: 'refused', rcode: FORMERR }],
    ['a name cut off', question('web.bar').subarray(0, 16), { kind: 'refused', rcode: FORMERR }],
    ['a name that points to itself', selfPointer, { kind: 'refused', rcode: FORMERR }],
    ['less than a header', Buffer.alloc(11), { kind: 'garbage' }],
  ]
  for (const [what, message, expected] of table) t.match(decodeQuery(message), expected, what)
})

t.test('any bytes at all are read without an error', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      decodeQuery(Buffer.from(bytes))
    }),
    { numRuns: 2000 },
  )
  const header = Buffer.from([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1])
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      const message = Buffer.concat([header, bytes])
      const incoming = decodeQuery(message)
      if (incoming.kind !== 'query') return
      const { question: raw } = incoming.query
      if (!message.subarray(12).subarray(0, raw.length).equals(raw)) throw new Error('not the question')
    }),
    { numRuns: 5000 },
  )
  t.pass()
})

t.test('a message that claims 65,535 records costs no more than its question', async (t) => {
  // Names that point back through thousands of pointers: quadratic for whoever follows them all.
  const pointers = Buffer.alloc(60_000)
  for (let at = 2; at < 16_000; at += 2) pointers.writeUInt16BE(0xc000 | (at + 10), at)
  const message = Buffer.concat([question('web.bar'), pointers])
  message.writeUInt16BE(0xffff, 6)
  const began = performance.now()
  for (let n = 0; n < 1000; n++) decodeQuery(message)
  t.ok(performance.now() - began < 1000, 'under a millisecond each')
})
