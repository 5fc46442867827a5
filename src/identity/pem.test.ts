import fc from 'fast-check'
import t from 'tap'
import { pemBlocks, pemCertificates, pemToDer } from './pem.ts'

const ONE = '-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n'
const KEY = '-----BEGIN PRIVATE KEY-----\nBAUG\n-----END PRIVATE KEY-----\n'

t.test('blocks are found among other text, in order', async (t) => {
  const text = `subject=x\n${ONE}noise\n${KEY}${ONE.trimEnd()}`
  t.same(
    pemBlocks(text).map((block) => block.label),
    ['CERTIFICATE', 'PRIVATE KEY', 'CERTIFICATE'],
  )
  t.same(pemCertificates(text), [ONE, ONE])
  t.same(pemToDer({ label: 'CERTIFICATE', pem: ONE }), Buffer.from([1, 2, 3]))
})

t.test('a block that never ends hides nothing that follows', async (t) => {
  t.same(pemCertificates(`-----BEGIN CERTIFICATE REQUEST-----\nAQID\n${ONE}`), [ONE])
  t.same(pemCertificates(`-----BEGIN ${ONE}`), [ONE])
  t.same(pemCertificates('-----BEGIN CERTIFICATE-----'), [])
})

t.test('any text is read, in linear time', async (t) => {
  const pieces = fc.constantFrom('-----BEGIN ', '-----END ', '-----', 'CERTIFICATE', '\n', 'AQID', ONE)
  fc.assert(
    fc.property(fc.array(pieces), (parts) => {
      for (const { label, pem } of pemBlocks(parts.join(''))) {
        if (!pem.startsWith(`-----BEGIN ${label}-----`) || !pem.endsWith(`-----END ${label}-----\n`))
          return false
      }
      return true
    }),
  )
  const started = performance.now()
  pemBlocks('-----BEGIN X-----'.repeat(20_000))
  t.ok(performance.now() - started < 2_000, '340 KB of beginnings')
})
