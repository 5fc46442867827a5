import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import t from 'tap'

const PROGRAM = resolve(import.meta.dirname, '../../bin/ztunnel.js')
const AGENT = ['agent', '--docker', 'unix:///nowhere/docker.sock', '--node', 'node-a']

/** How an agent ends that may not do this. */
function endWithout(capability: string) {
  const argv = [`--bounding-set=-${capability}`, '--inh-caps=-all', process.execPath, PROGRAM, ...AGENT]
  return spawnSync('setpriv', argv, { encoding: 'utf8' })
}

t.test('an agent without its capabilities says which it lacks and how to give them', async (t) => {
  for (const capability of ['sys_admin', 'net_admin']) {
    const { status, stderr } = endWithout(capability)
    t.equal(status, 1)
    const name = capability.toUpperCase()
    t.match(
      stderr,
      new RegExp(`; CAP_${name} missing: .* --cap-add ${name} \\(cap_add in compose\\)`),
      capability,
    )
  }
})

t.test('with them, it goes on to what it is told to read', async (t) => {
  const { status, stderr } = spawnSync(process.execPath, [PROGRAM, ...AGENT], { encoding: 'utf8' })
  t.equal(status, 1)
  t.match(stderr, /^ztunnel: there is no \/nowhere\/docker\.sock: is Docker installed and running\?/)
})
