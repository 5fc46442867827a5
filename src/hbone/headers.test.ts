import fc from 'fast-check'
import t from 'tap'
import { formatForwarded, makeTraceparent, parseForwardedHost, parseTraceparent } from './headers.ts'

t.test('forwarded', async (t) => {
  t.equal(formatForwarded('10.0.0.1:4242'), 'for="10.0.0.1:4242"')
  t.equal(formatForwarded('[fd00::1]:4242', 'web.app'), 'for="[fd00::1]:4242";host=web.app')
  t.equal(parseForwardedHost('for="10.0.0.1:4242";host=web.app'), 'web.app')
  t.equal(parseForwardedHost('host="web.app"; proto=https'), 'web.app')
  for (const none of [undefined, '', 'for="10.0.0.1:1"', 'Host=web', 'host=', 'host=""', 'host=wéb']) {
    t.equal(parseForwardedHost(none), undefined, String(none))
  }
})

t.test('what is written can be read, whatever is read does no harm', async () => {
  fc.assert(
    fc.property(fc.domain(), (host) => parseForwardedHost(formatForwarded('10.0.0.1:1', host)) === host),
  )
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => parseForwardedHost(text) !== ''))
})

t.test('traceparent', async (t) => {
  const made = makeTraceparent()
  t.equal(made.header.length, 55)
  t.match(made.header, /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/)
  t.same(parseTraceparent(made.header), made)
  t.not(makeTraceparent().traceId, made.traceId)
  const id = 'a'.repeat(32)
  for (const bad of [
    undefined,
    '',
    made.header.toUpperCase(),
    `${made.header}0`,
    `01${made.header.slice(2)}`,
    `00-${'0'.repeat(32)}-${'b'.repeat(16)}-00`,
    `00-${id}-${'0'.repeat(16)}-00`,
    `00-${id}-${'b'.repeat(16)}-zz`,
  ]) {
    t.equal(parseTraceparent(bad), undefined, String(bad))
  }
})
