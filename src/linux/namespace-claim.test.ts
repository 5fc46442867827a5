import { execFileSync } from 'node:child_process'
import { resolve } from 'node:path'
import t from 'tap'
import { NamespaceClaim } from './namespace-claim.ts'
import { addNamespace, ip } from './test-support.ts'

const MODULE = resolve(import.meta.dirname, 'namespace-claim.ts')

/** What another process gets when it claims the namespace, by this path. */
function claimElsewhere(path: string): string {
  const program = `import { NamespaceClaim } from ${JSON.stringify(MODULE)}
    try { NamespaceClaim.take(process.argv[1]); console.log('taken') } catch (error) { console.log(error.code + ': ' + error.message) }`
  return execFileSync(process.execPath, ['--input-type=module', '-e', program, path], {
    encoding: 'utf8',
  }).trim()
}

t.test('a namespace has one claimant, whatever path it is known by', async (t) => {
  const ns = addNamespace('claimed')
  t.teardown(() => {
    ns.close()
    ip('netns', 'del', 'claimed')
  })
  const path = '/run/netns/claimed'
  const claim = NamespaceClaim.take(path)
  const refusal = /^claimed: another agent has .*: two agents take the same pods; give each a node of its own/
  t.match(claimElsewhere(path), refusal)
  t.match(claimElsewhere(`/proc/${process.pid}/fd/${ns.fd}`), refusal, 'through another mount of it')
  claim.release()
  t.equal(claimElsewhere(path), 'taken')
  t.equal(claimElsewhere(path), 'taken', 'it ended with the process that had it')
  t.throws(() => NamespaceClaim.take('/run/netns/none'), { code: 'system-call', errno: 'ENOENT' })
})
