import fc from 'fast-check'
import t from 'tap'
import { ChangeJournal, UNKNOWN_VERSION } from './change-journal.ts'

type State = ReadonlyMap<string, string>

/** Names to versions; a name that is left out is not there. */
const states = fc.array(
  fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.constantFrom('1', '2'), { noNullPrototype: true }),
  { minLength: 1, maxLength: 30 },
)

t.test('who knows any remembered state learns exactly the present one', async (t) => {
  let told = 0
  fc.assert(
    fc.property(
      states,
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 2, max: 6 }),
      (all, compactAt, names) => {
        const history = all.map((state): State => new Map(Object.entries(state)))
        const journal = new ChangeJournal(0, { compactAt, names })
        for (const [generation, state] of history.entries()) {
          if (generation > 0) journal.add(generation, differences(history[generation - 1], state))
        }
        const present = history.at(-1) ?? new Map()
        for (const [generation, known] of history.entries()) {
          const changes = journal.since(generation)
          if (changes === undefined) continue
          told++
          const updated = new Map(known)
          for (const [name, before] of changes) {
            if (before !== UNKNOWN_VERSION && before !== known.get(name)) return false
            const now = present.get(name)
            if (now === undefined) updated.delete(name)
            else updated.set(name, now)
          }
          if (!sameMap(updated, present)) return false
        }
        return (
          journal.since(history.length - 1)?.size === 0 && journal.size <= Math.max(compactAt, 2 * names) + 4
        )
      },
    ),
    { numRuns: 2000 },
  )
  t.ok(told > 2_000, `${told} states brought up to date`)
})

t.test('what is too long ago is refused, not guessed', async (t) => {
  const journal = new ChangeJournal(1, { names: 2, compactAt: 2 })
  for (let generation = 2; generation < 20; generation++) {
    journal.add(generation, new Map([[`gone-${generation}`, 'v']]))
  }
  t.equal(journal.since(1), undefined)
  t.equal(journal.since(0), undefined)
  t.strictSame([...(journal.since(18)?.keys() ?? [])], ['gone-19'])
})

function differences(before: State | undefined, after: State): Map<string, string | undefined> {
  const names = new Set([...(before?.keys() ?? []), ...after.keys()])
  return new Map(
    [...names]
      .filter((name) => before?.get(name) !== after.get(name))
      .map((name) => [name, before?.get(name)]),
  )
}

function sameMap(a: State, b: State): boolean {
  return a.size === b.size && [...a].every(([name, version]) => b.get(name) === version)
}
