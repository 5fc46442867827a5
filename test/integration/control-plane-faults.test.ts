// What goes wrong around the control plane may cut no traffic that is allowed,
// and may let through none that is denied, for however short a time.
import '../support/own-namespaces.ts'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { TokenIssuer } from '../../src/identity/index.ts'
import { type MeshLab, startLab, type Target } from '../../src/lab/mesh-lab.ts'
import { nodeTokenFile } from '../../src/lab/state.ts'
import { startSteadyConnections } from '../support/client-program.ts'
import { startSecondProxy } from '../support/second-proxy.ts'
import { until } from '../support/until.ts'

t.setTimeout(120_000)

const TARGET: Target = { to: 'bar-3/helloworld', by: 'service', port: 'http' }
const DENIED = 'foo/sleep-sidecar'
const ALLOWED = 'foo/sleep'

/** Only `sleep` may: an ALLOW policy, which lets everybody in as soon as it is not there. */
const policy = (name: string) => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: bar-3 }
spec:
  selector: { matchLabels: { app: helloworld } }
  rules:
    - from:
        - source: { principals: ["cluster.local/ns/foo/sa/sleep"] }
`

t.test('faults of the control plane under traffic', async (t) => {
  await using lab = await startLab()
  put(lab, policy('first'))
  await until(async () => (await lab.get(DENIED, TARGET)).status !== 200, 'the policy to be enforced')
  t.equal((await lab.get(ALLOWED, TARGET)).status, 200)
  const denied = probe(lab)
  const tcp = lab.resolve({ to: 'bar-1/httpbin', by: 'service', port: 'tcp' })
  const steady = await startSteadyConnections(lab, 'foo/sleep', tcp, { atOnce: 4, pauseMs: 10 })

  await t.test('one policy takes the place of another', async (t) => {
    for (const name of ['second', 'third', 'fourth']) {
      put(lab, policy(name))
      await until(() => enforced(lab, name), `${name} to be enforced`)
    }
    await denied.moreAttempts(2)
    t.strictSame(denied.letThrough, [])
  })

  await t.test('the config server is killed', async (t) => {
    const component = lab.component('config-server')
    component.signal('SIGKILL')
    await component.exited
    put(lab, policy('fifth'))
    await denied.moreAttempts(2)
    await lab.startConfigServer()
    await until(() => enforced(lab, 'fifth'), 'what changed meanwhile to be enforced', 30_000)
    t.equal((await lab.get(ALLOWED, TARGET)).status, 200)
    await denied.moreAttempts(2)
    t.strictSame(denied.letThrough, [])
    const result = await steady.finish()
    t.equal(result['failed'], 0, JSON.stringify(result))
  })

  await t.test('the token of a proxy has expired', async (t) => {
    const file = nodeTokenFile(lab.state, 'node-d')
    const good = readFileSync(file, 'utf8')
    const past = await TokenIssuer.loadOrCreate(join(lab.state.certs, 'token-key.pem'), {
      now: () => Date.now() - 3_600_000,
    })
    writeFileSync(file, await past.issueNodeToken({ node: 'node-d', ttlSeconds: 60 }))
    // Its stream ends, and it must open another with what is in the file now.
    await lab.stopConfigServer()
    const refused = lab
      .component('ztunnel@node-d')
      .waitForLine((line) => line.includes('unauthenticated'), 'be refused for its token')
    await lab.startConfigServer()
    await refused
    put(lab, policy('sixth'))
    await until(() => enforced(lab, 'sixth', 'node-a'), 'the other nodes to have it', 30_000)
    t.equal((await lab.get(ALLOWED, TARGET)).status, 200, 'traffic goes on')
    await denied.moreAttempts(2)
    t.notOk(await enforced(lab, 'sixth'), 'nothing new for who cannot prove itself')
    t.strictSame(denied.letThrough, [], 'and what it had is in force')

    writeFileSync(file, good)
    await until(() => enforced(lab, 'sixth'), 'the good token to be taken', 40_000)
    t.strictSame(denied.letThrough, [])
  })

  await t.test('the proxy of the server is killed and started again', async (t) => {
    const component = lab.component('ztunnel@node-d')
    component.signal('SIGKILL')
    await component.exited
    await denied.moreAttempts(1)
    const again = await startSecondProxy(lab, 'node-d')
    t.teardown(() => again.stop())
    await until(async () => (await lab.get(ALLOWED, TARGET)).status === 200, 'traffic again', 30_000)
    await denied.moreAttempts(2)
    t.strictSame(denied.letThrough, [])
  })
  await denied.stop()
})

/** Atomically, as an editor or a ConfigMap does. */
function put(lab: MeshLab, yaml: string): void {
  const file = join(lab.state.config, 'only-sleep.yaml')
  writeFileSync(`${file}.tmp`, yaml)
  renameSync(`${file}.tmp`, file)
}

/** Whether a proxy has a policy in force. */
async function enforced(lab: MeshLab, name: string, node = 'node-d'): Promise<boolean> {
  const { body } = await lab.admin(node, '/config_dump')
  const { policies } = JSON.parse(body) as { policies: { name: string; namespace: string }[] }
  const own = policies.filter(({ namespace }) => namespace === 'bar-3')
  return own.some((policy) => policy.name === name)
}

/** One connection after the other that must not be. */
function probe(lab: MeshLab) {
  const letThrough: number[] = []
  let attempts = 0
  let stopping = false
  const running = (async () => {
    while (!stopping) {
      const began = attempts + 1
      const { status } = await lab.get(DENIED, TARGET)
      if (status === 200) letThrough.push(began)
      attempts = began
    }
  })()
  return {
    letThrough,
    moreAttempts: (count: number) => {
      const enough = attempts + count + 1
      return until(() => attempts >= enough, `${count} more attempts`, 60_000)
    },
    stop: async () => {
      stopping = true
      await running
    },
  }
}
