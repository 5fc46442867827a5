import fc from 'fast-check'
import t from 'tap'
import { formatAuthority, parseAuthority } from './authority.ts'

t.test('the three forms', async (t) => {
  t.same(parseAuthority('10.0.0.1:80'), { host: '10.0.0.1', port: 80 })
  t.same(parseAuthority('[fd00::A]:65535'), { host: 'fd00::a', port: 65535 })
  t.same(parseAuthority('Web.app.svc.cluster.local:8080'), { host: 'web.app.svc.cluster.local', port: 8080 })
})

const BAD = [
  undefined,
  '',
  ':',
  ':80',
  '10.0.0.1',
  '10.0.0.1:',
  '10.0.0.1:0',
  '10.0.0.1:080',
  '10.0.0.1:+80',
  '10.0.0.1:65536',
  '10.0.0.1:80 ',
  ' 10.0.0.1:80',
  '10.0.0.1:8e1',
  '010.0.0.1:80',
  '127.1:80',
  '2130706433:80',
  '0x7f.1:80',
  '256.0.0.1:80',
  'fd00::1:80',
  '[fd00::1]',
  '[fd00::1:80',
  '[fd00::1%eth0]:80',
  '[10.0.0.1]:80',
  '[]:80',
  'user@host:80',
  'host/path:80',
  'http://host:80',
  'host..name:80',
  '-host:80',
  'host.:80',
  'hôte:80',
  'host\0:80',
  `${'a'.repeat(64)}:80`,
  `${'a.'.repeat(127)}aa:80`,
]
for (const text of BAD) {
  t.test(`refuses ${JSON.stringify(text)}`.slice(0, 80), async (t) =>
    t.equal(parseAuthority(text), undefined),
  )
}

t.test('whatever is accepted has one spelling', async () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.webAuthority(),
        fc.ipV6().map((ip) => `[${ip}]:1`),
      ),
      (text) => {
        const authority = parseAuthority(text)
        if (authority === undefined) return true
        const again = formatAuthority(authority)
        return (
          again === text.toLowerCase() && JSON.stringify(parseAuthority(again)) === JSON.stringify(authority)
        )
      },
    ),
  )
})

t.test('every address and port is accepted', async () => {
  const host = fc.oneof(fc.ipV4(), fc.ipV6())
  fc.assert(
    fc.property(host, fc.integer({ min: 1, max: 65_535 }), (address, port) => {
      const parsed = parseAuthority(formatAuthority({ host: address, port }))
      return parsed?.host === address.toLowerCase() && parsed.port === port
    }),
  )
})
