import { spawnSync } from 'node:child_process'
import t from 'tap'
import { requireNamespacePrivileges } from './privileges.ts'

t.test('with the privileges nothing is said', async (t) => {
  t.doesNotThrow(() => requireNamespacePrivileges(1337))
})

t.test('without them the start ends, and the error names the capabilities', async (t) => {
  const module = new URL('./privileges.ts', import.meta.url).href
  const script = `import { requireNamespacePrivileges } from ${JSON.stringify(module)}; requireNamespacePrivileges(1337)`
  const without = ['--bounding-set=-all', '--inh-caps=-all']
  const node = [process.execPath, '--input-type=module', '--eval', script]
  const { status, stderr } = spawnSync('setpriv', [...without, ...node], { encoding: 'utf8' })
  t.not(status, 0)
  t.match(stderr, /CAP_SYS_ADMIN .* CAP_NET_ADMIN .*: setns .*EPERM/)
})
