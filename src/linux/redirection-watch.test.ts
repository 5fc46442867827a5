import { execFileSync } from 'node:child_process'
import t from 'tap'
import { applyRedirection, redirectionInPlace } from './redirection.ts'
import { RedirectionWatch } from './redirection-watch.ts'
import { addNamespace, ip } from './test-support.ts'

const DAMAGE: readonly (readonly [string, string])[] = [
  ['the nat table is flushed', 'iptables -t nat -F'],
  ['one rule is deleted', 'iptables -t mangle -D OUTPUT -j ISTIO_OUTPUT'],
  ['an IPv6 chain is emptied', 'ip6tables -t nat -F ISTIO_PRERT'],
  ['all of nftables is flushed', 'nft flush ruleset'],
  ['the routing rule is deleted', 'ip rule del pref 32764'],
  ['the local route is deleted', 'ip route flush table 100'],
  ['the IPv6 routing rule is deleted', 'ip -6 rule del pref 32764'],
  ['IPv6 is switched off', 'echo 1 > /proc/sys/net/ipv6/conf/lo/disable_ipv6'],
]

t.test('every damage changes the fingerprint, and a repair can be told from it', async (t) => {
  const ns = addNamespace('watch')
  t.teardown(() => {
    ns.close()
    ip('netns', 'del', 'watch')
  })
  const inside = (command: string) => execFileSync('ip', ['netns', 'exec', 'watch', 'sh', '-c', command])
  using watch = new RedirectionWatch(ns)
  const options = { ipv6: true }
  for (const [what, command] of DAMAGE) {
    await applyRedirection(ns, options)
    const before = watch.fingerprint()
    t.equal(watch.fingerprint(), before, 'asking changes nothing')
    inside(command)
    t.not(watch.fingerprint(), before, what)
  }
  inside('echo 0 > /proc/sys/net/ipv6/conf/lo/disable_ipv6')
  await applyRedirection(ns, options)
  t.equal(await redirectionInPlace(ns, options), true)
})

t.test('the older back end: rules that go are seen', async (t) => {
  const ns = addNamespace('watchold')
  t.teardown(() => {
    ns.close()
    ip('netns', 'del', 'watchold')
  })
  const inside = (command: string) => execFileSync('ip', ['netns', 'exec', 'watchold', 'sh', '-c', command])
  inside('iptables-legacy -t nat -N ISTIO_OUTPUT; iptables-legacy -t nat -A OUTPUT -j ISTIO_OUTPUT')
  await applyRedirection(ns)
  using watch = new RedirectionWatch(ns)
  const before = watch.fingerprint()
  t.match(before, /legacy .*nat/)
  inside('iptables-legacy -t nat -F')
  const flushed = watch.fingerprint()
  t.not(flushed, before)
  inside('ip6tables-legacy -t nat -A OUTPUT -j ACCEPT')
  const six = watch.fingerprint()
  t.not(six, flushed, 'IPv6 too')
  inside('ip6tables-legacy -t nat -F')
  t.not(watch.fingerprint(), six)
})

t.test('a fingerprint is cheap', async (t) => {
  const ns = addNamespace('watchfast')
  t.teardown(() => {
    ns.close()
    ip('netns', 'del', 'watchfast')
  })
  await applyRedirection(ns, { ipv6: true })
  using watch = new RedirectionWatch(ns)
  const rounds = 200
  const began = performance.now()
  for (let i = 0; i < rounds; i++) watch.fingerprint()
  const each = (performance.now() - began) / rounds
  t.comment(`${each.toFixed(3)} ms each`)
  t.ok(each < 5, 'far from what a process costs')
})
