import fc from 'fast-check'
import t from 'tap'
import { endToEndFields, fieldPairs, fieldsObject, trailerFields, withoutFields } from './header-fields.ts'

t.test('fields of one connection stay there', async (t) => {
  const fields = [
    ...['Connection', 'close, X-One', 'X-One', '1', 'Keep-Alive', 'timeout=5', 'Proxy-Connection', 'close'],
    ...['Transfer-Encoding', 'chunked', 'Upgrade', 'h2c', 'HTTP2-Settings', 'AA', 'TE', 'gzip, trailers'],
    ...[':path', '/', 'X-Two', '2', 'connection', 'X-THREE', 'x-three', '3', 'x-two', 'again'],
  ]
  t.same(endToEndFields(fields), ['te', 'trailers', 'x-two', '2', 'x-two', 'again'])
  t.same(endToEndFields(['te', 'gzip', 'a', 'b'], new Set(['a'])), [])
})

t.test('trailers that would change the message are dropped', async (t) => {
  t.same(trailerFields(['Content-Length', '5', 'Host', 'a', 'X-Sum', '1', 'grpc-status', '0']), [
    'x-sum',
    '1',
    'grpc-status',
    '0',
  ])
})

const name = fc.constantFrom('a', 'b-c', 'Connection', 'X-D', 'te', 'TE', 'Host', 'upgrade', ':status', 'a')
const value = fc.constantFrom('', '1', 'a', 'close, b-c', 'trailers', 'x-d')

t.test('whatever comes: names are lower case, pairs stay pairs, order stays', async () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value)), (pairs) => {
      const kept = fieldPairs(endToEndFields(pairs.flat()))
      const named = pairs
        .filter(([each]) => each === 'Connection')
        .flatMap(([, each]) => each.split(',').map((token) => token.trim()))
      const expected = pairs
        .filter(([each, text]) => {
          const lower = each.toLowerCase()
          if (lower === 'te') return text === 'trailers'
          return (
            lower !== 'connection' && lower !== 'upgrade' && lower !== ':status' && !named.includes(lower)
          )
        })
        .map(([each, text]): [string, string] => [each.toLowerCase(), text])
      return JSON.stringify(kept) === JSON.stringify(expected)
    }),
  )
})

t.test('an object of fields has all of their values', async () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom('a', 'b', '__proto__'), value)), (pairs) => {
      const object = fieldsObject(pairs.flat())
      return pairs.every(([each]) => {
        const values = pairs.filter(([other]) => other === each).map(([, text]) => text)
        return JSON.stringify([object[each]].flat()) === JSON.stringify(values)
      })
    }),
  )
})

t.test('without some', async (t) => {
  const fields = ['a', 'b', 'b', 'a']
  t.same(withoutFields(fields, new Set(['a'])), ['b', 'a'])
  t.equal(withoutFields(fields, new Set(['c'])), fields)
})
