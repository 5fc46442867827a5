import { execFileSync } from 'node:child_process'
import t, { type Test } from 'tap'
import { applyRedirection, redirectionInPlace, removeRedirection } from './redirection.ts'
import { addNamespace, ip } from './test-support.ts'

const OPTIONS = { dnsCapture: true, localNameServer: '127.0.0.11' }

/** A namespace with the rules that Docker writes for its name server. */
function dockerNamespace(t: Test, name: string) {
  const ns = addNamespace(name)
  t.teardown(() => {
    ns.close()
    ip('netns', 'del', name)
  })
  const run = (script: string) =>
    execFileSync('ip', ['netns', 'exec', name, 'sh', '-c', script], { encoding: 'utf8' })
  run(`iptables -t nat -N DOCKER_OUTPUT
    iptables -t nat -I OUTPUT -d 127.0.0.11 -j DOCKER_OUTPUT
    iptables -t nat -A DOCKER_OUTPUT -d 127.0.0.11 -p udp --dport 53 -j DNAT --to-destination 127.0.0.11:40053`)
  return { ns, run, output: () => run('iptables -t nat -S OUTPUT').trim().split('\n').slice(1) }
}

const OURS = '-A OUTPUT -j ISTIO_OUTPUT'
const DOCKERS = '-A OUTPUT -d 127.0.0.11/32 -j DOCKER_OUTPUT'

t.test('what the pod asks there is captured before Docker translates it, and nothing else is', async (t) => {
  const { ns, run, output } = dockerNamespace(t, 'resolver')
  t.equal(await applyRedirection(ns, OPTIONS), true)
  t.strictSame(output(), [OURS, DOCKERS])
  const rules = run('iptables -t nat -S ISTIO_OUTPUT')
  t.match(
    rules,
    /-d 127\.0\.0\.11\/32 -m mark --mark 0x539\/0xfff -j RETURN/,
    'the proxy’s own goes to Docker',
  )
  t.match(rules, /-d 127\.0\.0\.11\/32 -p udp .*--dport 53 -j REDIRECT --to-ports 15053/)
  t.notMatch(rules, /-o lo -p udp/, 'Docker’s own questions would come round')
  t.equal(await redirectionInPlace(ns, OPTIONS), true)
  t.equal(await applyRedirection(ns, OPTIONS), false, 'nothing to do')
})

t.test('rules that Docker put in front are seen, and ours are first again', async (t) => {
  const { ns, run, output } = dockerNamespace(t, 'resolver-first')
  await applyRedirection(ns, OPTIONS)
  run('iptables -t nat -D OUTPUT 2; iptables -t nat -I OUTPUT -d 127.0.0.11 -j DOCKER_OUTPUT')
  t.equal(await redirectionInPlace(ns, OPTIONS), false)
  t.equal(await applyRedirection(ns, OPTIONS), true)
  t.strictSame(output(), [OURS, DOCKERS])
  run('iptables -t nat -A OUTPUT -j ISTIO_OUTPUT')
  await applyRedirection(ns, OPTIONS)
  t.strictSame(output(), [OURS, DOCKERS], 'once')
})

t.test('without DNS capture Docker’s rules come first, and at the end they are what is left', async (t) => {
  const { ns, run, output } = dockerNamespace(t, 'resolver-off')
  await applyRedirection(ns, { localNameServer: '127.0.0.11' })
  t.strictSame(output(), [DOCKERS, OURS])
  t.notMatch(run('iptables-save'), /15053|CT --zone/)
  await applyRedirection(ns, OPTIONS)
  await removeRedirection(ns, OPTIONS)
  t.strictSame(output(), [DOCKERS])
})
