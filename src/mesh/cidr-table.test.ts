import fc from 'fast-check'
import t from 'tap'
import { cidrContains, parseAddress, parseCidr } from './addresses.ts'
import { CidrTable } from './cidr-table.ts'

const family = fc.boolean()
const octet = fc.constantFrom(0, 1, 128, 129, 255)
const block = fc
  .tuple(family, octet, octet, fc.nat(32))
  .map(([six, a, b, length]) =>
    six ? `fd00:${a.toString(16)}:${b.toString(16)}::/${length + 16}` : `10.${a}.${b}.0/${length}`,
  )
const probe = fc
  .tuple(family, octet, octet)
  .map(([six, a, b]) => (six ? `fd00:${a.toString(16)}:${b.toString(16)}::1` : `10.${a}.${b}.1`))

t.test(
  'every block that holds an address is found, longest prefix first, as by trying them all',
  async (t) => {
    fc.assert(
      fc.property(
        fc.array(block, { maxLength: 30 }),
        fc.array(fc.nat(29)),
        probe,
        (blocks, removed, address) => {
          const table = new CidrTable<{ text: string }>()
          const values = blocks.map((text) => ({ text }))
          for (const value of values) table.add(value.text, value)
          const gone = new Set(removed.map((i) => values[i]).filter((value) => value !== undefined))
          for (const value of gone) table.remove(value.text, value)
          const words = parseAddress(address)
          const expected = values.filter((value) => {
            const cidr = parseCidr(value.text)
            return !gone.has(value) && cidr !== undefined && words !== undefined && cidrContains(cidr, words)
          })
          expected.sort((a, b) => (parseCidr(b.text)?.length ?? 0) - (parseCidr(a.text)?.length ?? 0))
          const found = table.matches(address).map(({ value }) => value)
          return found.length === expected.length && found.every((value, i) => value === expected[i])
        },
      ),
    )
    t.pass()
  },
)

t.test('text that is no block is refused, an address that is none matches nothing', async (t) => {
  const table = new CidrTable<object>()
  t.notOk(table.add('10.0.0.0/40', {}))
  t.ok(table.add('0.0.0.0/0', {}))
  t.equal(table.matches('not-an-address').length, 0)
  table.remove('10.0.0.0/40', {})
  table.remove('10.0.0.0/8', {})
  t.equal(table.matches('1.2.3.4').length, 1)
})
