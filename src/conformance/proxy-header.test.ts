import fc from 'fast-check'
import t from 'tap'
import { parseProxyHeader } from './proxy-header.ts'

const HEADER = Buffer.concat([
  Buffer.from('0d0a0d0a000d0a515549540a', 'hex'),
  Buffer.from('21110019', 'hex'),
  Buffer.from([10, 0, 0, 1, 10, 0, 0, 2, 0x9c, 0x40, 0x00, 0x50]),
  Buffer.from('d0000a', 'hex'),
  Buffer.from('spiffe://a'),
])

t.test('addresses and TLVs of a header, and where it ends', async (t) => {
  const header = parseProxyHeader(Buffer.concat([HEADER, Buffer.from('hello')]))
  t.match(header, {
    bytes: HEADER.length,
    proxied: true,
    source: '10.0.0.1:40000',
    destination: '10.0.0.2:80',
  })
  t.ok(header !== undefined && header !== 'incomplete' && header.tlvs.get(0xd0) === 'spiffe://a')
})

t.test('a header that is not whole is waited for, and other bytes are none', async (t) => {
  for (let length = 0; length < HEADER.length; length++)
    t.equal(parseProxyHeader(HEADER.subarray(0, length)), 'incomplete')
  t.equal(parseProxyHeader(Buffer.from('conformance 1\n')), undefined)
})

t.test('no bytes make it throw', async () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.integer({ min: 0, max: 30 }), (bytes, at) => {
      parseProxyHeader(Buffer.concat([HEADER.subarray(0, at), bytes]))
    }),
  )
})
