import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ensurePrerequisites, missingTools, systemPath, TOOLS } from './prerequisites.ts'
import { userNamespaceAdvice } from './sandbox.ts'

t.test('nothing is missing where the tests can run at all', async (t) => {
  t.same(missingTools(), [])
})

t.test('a tool is missing unless it is there and can be run', async (t) => {
  const folder = t.testdir({})
  t.equal(missingTools([folder]).length, TOOLS.length)
  writeFileSync(join(folder, 'ip'), '')
  t.ok(
    missingTools([folder]).some(({ command }) => command === 'ip'),
    'a file that cannot be run does not count',
  )
  chmodSync(join(folder, 'ip'), 0o755)
  t.notOk(missingTools([folder]).some(({ command }) => command === 'ip'))
})

t.test("an ordinary user's PATH is completed", async (t) => {
  t.equal(systemPath('/usr/bin:/opt/x'), '/usr/bin:/opt/x:/usr/local/sbin:/usr/sbin:/sbin:/bin')
})

t.test('the switch that forbids user namespaces is named with what to type', async (t) => {
  const kernel =
    (switches: Readonly<Record<string, string>>) =>
    (path: string): string | undefined =>
      switches[path]
  const advice = (switches: Readonly<Record<string, string>>): string =>
    userNamespaceAdvice(kernel(switches)).join('\n')
  t.match(
    advice({ '/proc/sys/kernel/unprivileged_userns_clone': '0' }),
    /type: sudo sysctl kernel\.unprivileged_userns_clone=1/,
  )
  t.match(
    advice({ '/proc/sys/kernel/apparmor_restrict_unprivileged_userns': '1' }),
    /type: sudo sysctl kernel\.apparmor_restrict_unprivileged_userns=0/,
  )
  t.match(
    advice({ '/proc/sys/user/max_user_namespaces': '0' }),
    /type: sudo sysctl user\.max_user_namespaces=/,
  )
  t.match(advice({ '/proc/sys/user/max_user_namespaces': '15000' }), /No sysctl forbids it/)
  t.match(advice({}), /as root/)
})

t.test('a package manager that is busy is waited for, and blamed if it stays so', async (t) => {
  const folder = t.testdir({ bin: {}, empty: {} })
  const apt = join(folder, 'bin', 'apt-get')
  const said = 'E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 42 (apt)'
  writeFileSync(apt, `#!/bin/sh\necho "$@" >> ${folder}/calls\necho '${said}' >&2\nexit 100\n`)
  chmodSync(apt, 0o755)
  const path = process.env['PATH']
  t.teardown(() => {
    process.env['PATH'] = path
  })
  process.env['PATH'] = `${join(folder, 'bin')}:${path}`
  await t.rejects(ensurePrerequisites({ searchPath: [join(folder, 'empty')] }), {
    code: 'missing-tool',
    message: /held by process 42[\s\S]*another package manager is at work/,
  })
  const calls = readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n')
  t.equal(calls.length, 1, 'no update that would fail in the same way')
  t.match(calls[0], /-o DPkg::Lock::Timeout=60 .*install -y .*iptables/)
})
