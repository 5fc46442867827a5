import fc from 'fast-check'
import t from 'tap'
import type { NewResource } from './resource.ts'
import { ResourceTable } from './resource-table.ts'

const resource = (
  name: string,
  body: number,
  aliases: readonly string[],
  groups: readonly string[],
): NewResource => ({
  name,
  value: Uint8Array.of(body),
  aliases,
  groups,
})

const lists = fc.uniqueArray(
  fc.record({
    name: fc.constantFrom('a', 'b', 'c'),
    body: fc.integer({ min: 0, max: 2 }),
  }),
  { selector: ({ name }) => name },
)

t.test(
  'a client of any earlier generation gets what makes its state the present one, and no more',
  async () => {
    fc.assert(
      fc.property(fc.array(lists, { minLength: 1, maxLength: 10 }), (steps) => {
        const table = new ResourceTable()
        const clients: { base: number; held: Map<string, string> }[] = []
        for (const step of steps) {
          table.replace(step.map(({ name, body }) => resource(name, body, [], [])))
          clients.push({ base: table.generation, held: versions(table) })
        }
        return clients.every(({ base, held }) => {
          const changes = table.changesSince(base)
          if (changes === undefined) return false
          const needless = changes.changed.some(({ name, version }) => held.get(name) === version)
          for (const { name, version } of changes.changed) held.set(name, version)
          const unknown = changes.removed.some((name) => !held.delete(name))
          return (
            !needless &&
            !unknown &&
            JSON.stringify([...held].sort()) === JSON.stringify([...versions(table)].sort())
          )
        })
      }),
    )
  },
)

t.test('names lead to the present resources, however they came', async (t) => {
  const table = new ResourceTable()
  const names = (name: string) => table.resolve(name).map((found) => found.name)
  table.replace([resource('service', 0, ['/vip'], []), resource('w1', 0, ['/ip1'], ['service'])])
  t.strictSame(names('/vip'), ['service', 'w1'])
  // Bodies say what aliases and groups do: a change of these is one of the bytes.
  table.replace([
    resource('service', 0, ['/vip'], []),
    resource('w1', 1, ['/ip2'], []),
    resource('w2', 0, ['/ip1'], ['service']),
  ])
  t.strictSame(names('/vip'), ['service', 'w2'])
  t.strictSame(names('/ip1'), ['w2'])
  t.strictSame(names('/ip2'), ['w1'])
  table.replace([resource('w2', 0, ['/ip1'], ['service'])])
  t.strictSame(names('/vip'), [])
  t.strictSame(names('service'), [])
  t.strictSame(names('w2'), ['w2'])
})

t.test('the same again is no new generation', async (t) => {
  const table = new ResourceTable()
  t.equal(table.replace([resource('a', 1, [], [])]), true)
  t.equal(table.replace([resource('a', 1, [], [])]), false)
  t.equal(table.generation, 1)
})

function versions(table: ResourceTable): Map<string, string> {
  return new Map([...table.resources.values()].map(({ name, version }) => [name, version]))
}
