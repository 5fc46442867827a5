import { execFileSync } from 'node:child_process'
import t from 'tap'
import { readIptables } from './iptables-backend.ts'
import { applyRedirection, redirectionInPlace, removeRedirection } from './redirection.ts'
import { IPV4_RULES } from './redirection-rules.ts'
import { addNamespace, ip } from './test-support.ts'

function inside(name: string, command: string): string {
  return execFileSync('ip', ['netns', 'exec', name, 'sh', '-c', command], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
}

function namespace(t: { teardown(fn: () => void): unknown }, name: string) {
  const ns = addNamespace(name)
  t.teardown(() => {
    ns.close()
    ip('netns', 'del', name)
  })
  return ns
}

t.test('a fresh namespace gets the machine’s own back end, and no tables of the other', async (t) => {
  const ns = namespace(t, 'fresh')
  await applyRedirection(ns)
  t.match(inside('fresh', 'iptables-save'), /ISTIO_OUTPUT/)
  t.equal((await readIptables(ns, IPV4_RULES)).current.backend, '')
  t.equal(inside('fresh', 'cat /proc/net/ip_tables_names || true'), '')
})

for (const backend of ['-legacy', '-nft'] as const) {
  t.test(`rules that are with iptables${backend} stay with it`, async (t) => {
    const name = `held${backend}`
    const ns = namespace(t, name)
    inside(name, `iptables${backend} -t nat -N ISTIO_OUTPUT`)
    t.equal(await redirectionInPlace(ns), false)
    t.equal(await applyRedirection(ns), true)
    t.match(inside(name, `iptables${backend}-save -t nat`), /--to-ports 15001/)
    const other = backend === '-nft' ? '-legacy' : '-nft'
    t.notMatch(inside(name, `iptables${other}-save`), 'ISTIO')
    t.equal(await redirectionInPlace(ns), true)
    t.equal(await applyRedirection(ns), false, 'nothing to do')
    t.equal(await removeRedirection(ns), true)
    t.notMatch(inside(name, `iptables${backend}-save`), 'ISTIO')
  })
}

t.test('rules with both back ends: one keeps them, the other is cleaned', async (t) => {
  const ns = namespace(t, 'both')
  for (const backend of ['-legacy', '-nft']) {
    inside(
      'both',
      `iptables${backend} -t nat -N ISTIO_OUTPUT; iptables${backend} -t nat -A OUTPUT -j ISTIO_OUTPUT`,
    )
  }
  t.equal((await readIptables(ns, IPV4_RULES)).stale.length, 1)
  await applyRedirection(ns)
  const holders = ['-legacy', '-nft'].filter((backend) =>
    inside('both', `iptables${backend}-save`).includes('ISTIO'),
  )
  t.equal(holders.length, 1)
  t.equal(await redirectionInPlace(ns), true)
})
