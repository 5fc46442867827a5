import fc from 'fast-check'
import t from 'tap'
import { formatSpiffeId, parseSpiffeId, spiffeIdProblem } from './spiffe-id.ts'

const segment = fc.string().filter((text) => !text.includes('/'))

t.test('every id of three segments survives formatting and parsing', async () => {
  fc.assert(
    fc.property(segment, segment, segment, (trustDomain, namespace, serviceAccount) => {
      const id = { trustDomain, namespace, serviceAccount }
      const back = parseSpiffeId(formatSpiffeId(id))
      return JSON.stringify(back) === JSON.stringify(id)
    }),
  )
})

t.test('whatever parses formats to the same text', async () => {
  const text = fc.oneof(
    fc.string(),
    fc.array(fc.constantFrom('spiffe:', '', 'td', 'ns', 'sa', 'x', '.')).map((parts) => parts.join('/')),
  )
  fc.assert(
    fc.property(text, (uri) => {
      const id = parseSpiffeId(uri)
      return id === undefined || formatSpiffeId(id) === uri
    }),
  )
})

t.test('exactly five parts with literal ns and sa', async (t) => {
  t.same(parseSpiffeId('spiffe://td/ns/n/sa/s'), { trustDomain: 'td', namespace: 'n', serviceAccount: 's' })
  t.same(parseSpiffeId('spiffe:///ns//sa/'), { trustDomain: '', namespace: '', serviceAccount: '' })
  for (const uri of [
    'spiffe://td/ns/n/sa/s/',
    'spiffe://td/ns/n/sa',
    'spiffe://td/ns/n/sa/s/x',
    'spiffe://td/sa/n/ns/s',
    'SPIFFE://td/ns/n/sa/s',
    'https://td/ns/n/sa/s',
    'td/ns/n/sa/s',
    '',
  ]) {
    t.equal(parseSpiffeId(uri), undefined, uri)
  }
})

t.test('an id that goes into a certificate is strict', async (t) => {
  const good = { trustDomain: 'cluster.local', namespace: 'default', serviceAccount: 'sleep' }
  t.equal(spiffeIdProblem(good), undefined)
  t.match(spiffeIdProblem({ ...good, trustDomain: 'Cluster.local' }), /trust domain/)
  t.match(spiffeIdProblem({ ...good, trustDomain: '' }), /trust domain/)
  t.match(spiffeIdProblem({ ...good, namespace: 'a/sa/b' }), /namespace/)
  t.match(spiffeIdProblem({ ...good, namespace: '..' }), /namespace/)
  t.match(spiffeIdProblem({ ...good, serviceAccount: 'a, URI:x' }), /service account/)
  t.match(spiffeIdProblem({ ...good, serviceAccount: 'x'.repeat(254) }), /service account/)
})
