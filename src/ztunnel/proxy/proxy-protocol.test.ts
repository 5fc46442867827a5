import t from 'tap'
import { proxyHeaderV2 } from './proxy-protocol.ts'

t.test('IPv4 with the identity of the peer', async (t) => {
  const identity = 'spiffe://cluster.local/ns/foo/sa/sleep'
  const header = proxyHeaderV2(
    { address: '10.0.0.5', port: 40000 },
    { address: '10.96.0.1', port: 80 },
    identity,
  )
  t.equal(header.subarray(0, 12).toString('hex'), '0d0a0d0a000d0a515549540a', 'signature')
  t.equal(header[12], 0x21, 'version 2, PROXY')
  t.equal(header[13], 0x11, 'TCP over IPv4')
  t.equal(header.readUInt16BE(14), header.length - 16, 'length of the rest')
  t.same([...header.subarray(16, 24)], [10, 0, 0, 5, 10, 96, 0, 1], 'addresses')
  t.equal(header.readUInt16BE(24), 40000)
  t.equal(header.readUInt16BE(26), 80)
  t.equal(header[28], 0xd0, 'the TLV that Istio defined')
  t.equal(header.readUInt16BE(29), identity.length)
  t.equal(header.subarray(31).toString(), identity)
})

t.test('nothing is claimed of a peer that proved nothing', async (t) => {
  const header = proxyHeaderV2({ address: '10.0.0.5', port: 1 }, { address: '10.0.0.6', port: 2 }, undefined)
  t.equal(header.length, 28)
})

t.test('two families are both written as IPv6', async (t) => {
  const header = proxyHeaderV2({ address: '10.0.0.5', port: 1 }, { address: 'fd00::1', port: 2 }, undefined)
  t.equal(header[13], 0x21, 'TCP over IPv6')
  t.equal(header.subarray(16, 32).toString('hex'), '00000000000000000000ffff0a000005')
  t.equal(header.subarray(32, 48).toString('hex'), 'fd000000000000000000000000000001')
})
