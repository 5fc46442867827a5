import fc from 'fast-check'
import t from 'tap'
import { allocateVirtualAddresses } from './virtual-addresses.ts'

const NONE: ReadonlySet<string> = new Set()
const NAMES = Array.from({ length: 600 }, (_, index) => `ns/service-${index}`)

t.test('each its own, of Istio’s block, whatever the order of the names', async () => {
  const name = fc.string({ minLength: 1, maxLength: 12 })
  fc.assert(
    fc.property(fc.uniqueArray(name, { maxLength: 50 }), fc.infiniteStream(fc.nat()), (names, order) => {
      const shuffled = names
        .map((name) => ({ name, rank: order.next().value }))
        .sort((a, b) => a.rank - b.rank)
      const one = allocateVirtualAddresses(names, NONE)
      const other = allocateVirtualAddresses(
        shuffled.map(({ name }) => name),
        NONE,
      )
      const values = [...one.values()].map(({ ipv4 }) => ipv4)
      return (
        values.length === names.length &&
        new Set(values).size === names.length &&
        values.every((address) => address.startsWith('240.240.')) &&
        names.every((name) => one.get(name)?.ipv4 === other.get(name)?.ipv4)
      )
    }),
  )
})

t.test('other names move hardly any', async (t) => {
  const all = allocateVirtualAddresses(NAMES, NONE)
  const half = allocateVirtualAddresses(
    NAMES.filter((_, index) => index % 2 === 0),
    NONE,
  )
  const moved = [...half].filter(([name, { ipv4 }]) => all.get(name)?.ipv4 !== ipv4)
  t.ok(moved.length <= 6, `${moved.length} of ${half.size}: only those that two names fell on`)
  t.equal(new Set([...all.values()].map(({ ipv6 }) => ipv6)).size, NAMES.length)
})

t.test('what others have is left to them', async (t) => {
  const [address] = [...allocateVirtualAddresses(['ns/web'], NONE).values()]
  const again = allocateVirtualAddresses(['ns/web'], new Set([address?.ipv4 ?? '']))
  t.not(again.get('ns/web')?.ipv4, address?.ipv4)
})
