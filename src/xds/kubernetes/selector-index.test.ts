import fc from 'fast-check'
import t from 'tap'
import { matchesLabels } from './selector.ts'
import { SelectorIndex } from './selector-index.ts'

t.test('the index finds what asking each one would find, in the order given', async (t) => {
  const labels = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('x', 'y', ''), {
    maxKeys: 3,
    noNullPrototype: true,
  })
  const namespace = fc.constantFrom('foo', 'bar')
  const all = fc.array(fc.record({ namespace: fc.option(namespace, { nil: undefined }), selector: labels }))
  fc.assert(
    fc.property(all, namespace, labels, (selecting, namespace, labels) => {
      const index = new SelectorIndex(selecting.map((entry, item) => ({ ...entry, item })))
      const expected = selecting.flatMap((entry, item) =>
        (entry.namespace ?? namespace) === namespace && matchesLabels(entry.selector, labels) ? [item] : [],
      )
      t.strictSame(index.matching({ metadata: { namespace, labels } }), expected)
    }),
  )
})
