import fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import t from 'tap'
import {
  addressFamily,
  canonicalAddress,
  cidrContains,
  formatHostPort,
  isAddress,
  isLoopback,
  parseAddress,
  parseCidr,
} from './addresses.ts'

t.test('canonical text', async (t) => {
  const cases: readonly (readonly [string, string])[] = [
    ['10.0.0.5', '10.0.0.5'],
    ['::ffff:10.0.0.5', '10.0.0.5'],
    ['::FFFF:a00:5', '10.0.0.5'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['httpbin.bar', 'httpbin.bar'],
    ['010.1.1.1', '010.1.1.1'],
    ['', ''],
  ]
  for (const [text, expected] of cases) t.equal(canonicalAddress(text), expected, text)
})

t.test('what is no address', async (t) => {
  for (const text of [
    '1',
    '1.2.3',
    '1.2.3.256',
    '1.2.3.4.5',
    '1.2.3.',
    '.1.2.3',
    '010.1.1.1',
    '0x1.2.3.4',
    'a',
    '::1.2.3.4',
    '1.2.3.4 ',
  ]) {
    t.equal(parseAddress(text), undefined, text)
    t.notOk(isAddress(text), text)
  }
})

t.test('family, loopback, host and port', async (t) => {
  t.equal(addressFamily('10.0.0.1'), 4)
  t.equal(addressFamily('::1'), 6)
  t.ok(isLoopback('127.9.9.9'))
  t.ok(isLoopback('::1'))
  t.notOk(isLoopback('10.0.0.1'))
  t.equal(formatHostPort('::1', 80), '[::1]:80')
  t.equal(formatHostPort('a.b', 80), 'a.b:80')
})

t.test('CIDR: 8.8 host bits are tolerated, bad lengths are not, families never cross', async (t) => {
  t.equal(parseCidr('10.1.2.3/8')?.text, '10.0.0.0/8')
  t.equal(parseCidr('10.1.2.3')?.text, '10.1.2.3/32')
  t.equal(parseCidr('fd00::1')?.text, 'fd00::1/128')
  t.equal(parseCidr('0.0.0.0/0')?.text, '0.0.0.0/0')
  for (const text of ['10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0/-1', '10/8', 'x/8', '10.0.0.0/8x']) {
    t.equal(parseCidr(text), undefined, text)
  }
  const contains = (block: string, address: string): boolean => {
    const cidr = parseCidr(block)
    const words = parseAddress(address)
    return cidr !== undefined && words !== undefined && cidrContains(cidr, words)
  }
  t.ok(contains('10.0.0.0/8', '10.255.0.1'))
  t.notOk(contains('10.0.0.0/8', '11.0.0.1'))
  t.ok(contains('0.0.0.0/0', '255.255.255.255'))
  t.notOk(contains('::/0', '10.0.0.1'))
  t.notOk(contains('0.0.0.0/0', '::1'))
  t.notOk(contains('::ffff:10.0.0.0/104', '10.0.0.1'))
  t.ok(contains('fd00::/33', 'fd00:0:7fff::1'))
  t.notOk(contains('fd00::/33', 'fd00:0:8000::1'))
})

t.test('CIDR matching agrees with ipaddr.js', async () => {
  const address = fc.oneof(fc.ipV4(), fc.ipV6())
  fc.assert(
    fc.property(address, address, fc.nat(128), (base, probe, length) => {
      const words = parseAddress(base)
      const target = parseAddress(probe)
      if (words === undefined || target === undefined) return
      const bits = Math.min(length, words.length * 32)
      const block = `${canonicalAddress(base)}/${bits}`
      const cidr = parseCidr(block)
      const [range, n] = ipaddr.parseCIDR(block)
      const parsed = ipaddr.process(probe)
      const expected = parsed.kind() === range.kind() && parsed.match([range, n] as never)
      if (cidr === undefined || cidrContains(cidr, target) !== expected)
        throw new Error(`${probe} in ${block}`)
    }),
  )
})

t.test('canonical text is a fixed point and never throws', async (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.ipV4(), fc.ipV6(), fc.ipV4Extended()), (text) => {
      const once = canonicalAddress(text)
      return canonicalAddress(once) === once && (parseAddress(text) === undefined) === !isAddress(text)
    }),
  )
  t.pass()
})
