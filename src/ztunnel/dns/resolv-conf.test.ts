import t from 'tap'
import { parseResolvConf, watchResolvConf } from './resolv-conf.ts'

t.test('12.8 name servers, search list and options', async (t) => {
  const text = [
    '# made by hand',
    'nameserver 10.96.0.10 ; the cluster',
    'nameserver fd00::10',
    'nameserver fe80::1%eth0',
    'nameserver ns.example.com',
    'nameserver 192.0.2.53',
    'nameserver 192.0.2.54',
    'domain old.test',
    'search Corp.Test. other.test',
    'options ndots:5 timeout:2 attempts:3 use-vc edns0',
  ].join('\n')
  t.strictSame(parseResolvConf(text), {
    nameservers: ['10.96.0.10', 'fd00::10', '192.0.2.53'],
    search: ['corp.test', 'other.test'],
    timeoutMs: 2000,
    attempts: 3,
    tcpOnly: true,
  })
})

t.test('defaults and limits are those of resolv.conf(5)', async (t) => {
  const defaults = { nameservers: [], search: [], timeoutMs: 5000, attempts: 2, tcpOnly: false }
  t.strictSame(parseResolvConf(''), defaults)
  t.strictSame(parseResolvConf('options timeout:x attempts\nnameserver\n\n'), defaults)
  t.match(parseResolvConf('options timeout:999 attempts:999'), { timeoutMs: 30_000, attempts: 5 })
  t.match(parseResolvConf('options timeout:0 attempts:0'), { timeoutMs: 1000, attempts: 1 })
})

t.test('a changed file is followed, a missing one is not', async (t) => {
  let text: string | undefined = 'nameserver 10.0.0.1'
  let now = 0
  let reads = 0
  const source = watchResolvConf({
    now: () => now,
    read: () => {
      reads += 1
      if (text === undefined) throw new Error('ENOENT')
      return text
    },
  })
  const first = (): string | undefined => source.current().nameservers[0]
  t.equal(first(), '10.0.0.1')
  text = 'nameserver 10.0.0.2'
  t.equal(first(), '10.0.0.1', 'not read for each question')
  t.equal(reads, 1)
  now += 5000
  t.equal(first(), '10.0.0.2')
  text = undefined
  now += 5000
  t.equal(first(), '10.0.0.2', 'while it is being replaced')
})
