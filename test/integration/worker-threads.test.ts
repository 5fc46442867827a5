import '../support/own-namespaces.ts'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { runCommand } from '../../src/lab/command.ts'
import { httpGetIn } from '../../src/lab/http-probe.ts'
import { type MeshLab, startLab } from '../../src/lab/mesh-lab.ts'
import { namespaceOf } from '../../src/lab/topology.ts'
import { accessLines } from '../support/access-lines.ts'
import {
  type ClientProgram,
  startHeldConnections,
  startSteadyConnections,
} from '../support/client-program.ts'
import { until } from '../support/until.ts'

t.setTimeout(180_000)

/** So many that none of two threads is left out. */
const HELD = 16

const FAULT = new URL('../support/thread-fault.ts', import.meta.url).href

const DENY_9000 = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: deny-9000, namespace: bar-1 }
spec:
  action: DENY
  rules:
    - to: [{ operation: { ports: ["9000"] } }]
`

t.test('two worker threads carry the connections of each node', async (t) => {
  await using lab = await startLab({
    proxyEnv: { ZTUNNEL_WORKER_THREADS: '2', NODE_OPTIONS: `--import=${FAULT}` },
  })
  const target = lab.resolve({ to: 'bar-1/httpbin', by: 'service', port: 'tcp' })
  const hold = async (): Promise<ClientProgram> => {
    const held = await startHeldConnections(lab, 'foo/sleep', target, HELD)
    t.teardown(() => held.finish())
    return held
  }

  await t.test('each has its own listeners in a pod', async (t) => {
    const namespace = lab.network.namespace(namespaceOf(lab.topology, 'foo/sleep'))
    const sockets = await runCommand('cat', ['/proc/net/tcp6', '/proc/net/tcp'], { namespace })
    for (const port of [15001, 15006, 15008]) {
      const listening = new RegExp(`:${port.toString(16).toUpperCase()} \\S+ 0A `, 'g')
      t.equal(sockets.match(listening)?.length, 2, `port ${port}`)
    }
  })

  const held = await hold()

  await t.test('admin and metrics show the connections of both', async (t) => {
    t.equal(await outbound(lab), HELD)
    const dump = JSON.parse((await lab.admin('node-a', '/config_dump')).body)
    const states = Object.values<{ connections?: { outbound: unknown[] } }>(dump.workloadState)
    t.equal(states.flatMap(({ connections }) => connections?.outbound ?? []).length, HELD)
    t.equal(await counted(lab, 'istio_tcp_connections_opened_total'), HELD)
    t.equal(await counted(lab, 'istio_tcp_sockets_open'), HELD)
  })

  await t.test('a thread that fails is replaced, and takes only its own connections along', async (t) => {
    await fail(lab, 'node-a')
    // What was the old thread's is shown no more.
    const lost = HELD - (await outbound(lab))
    t.ok(lost > 0 && lost < HELD, `${lost} of ${HELD} have ended`)
    await until(() => held.progress.includes(`ended ${lost}`), 'the clients to be told')
    t.equal(await counted(lab, 'istio_tcp_connections_closed_total'), lost, 'counted as ended')
    t.equal(await counted(lab, 'istio_tcp_sockets_open'), HELD - lost)
    await works(t, lab)
    t.same(await held.finish(), { open: HELD - lost }, 'the others have lived through it')
  })

  await t.test('on the server’s node as well', async (t) => {
    await fail(lab, 'node-b')
    await works(t, lab)
  })

  await t.test('a policy cuts the connections of both threads, the new one too', async () => {
    const doomed = await hold()
    const file = join(lab.state.config, 'deny-9000.yaml')
    writeFileSync(file, DENY_9000)
    await until(() => doomed.progress.includes(`ended ${HELD}`), 'all to be cut')
    rmSync(file)
    await until(
      async () => !(await lab.admin('node-b', '/config_dump')).body.includes('deny-9000'),
      'node-b to forget the policy',
    )
  })

  await t.test('SIGTERM lets both drain, and what is left is recorded as drained', async (t) => {
    const left = await hold()
    const proxy = lab.component('ztunnel@node-a')
    proxy.signal('SIGTERM')
    t.same(await proxy.exited, { code: 0, signal: null })
    await until(() => left.progress.includes(`ended ${HELD}`), 'all to end')
    const drained = accessLines(lab, 'ztunnel@node-a').filter(({ error }) =>
      /connection drain/.test(String(error)),
    )
    t.equal(drained.length, HELD)
  })
})

/** Has thread 1 of a node's proxy fail; resolves when it is replaced. */
async function fail(lab: MeshLab, node: string): Promise<void> {
  const proxy = lab.component(`ztunnel@${node}`)
  const replaced = proxy.waitForLine((line) => line.includes('worker thread replaced'), 'replace the thread')
  proxy.signal('SIGUSR2')
  await proxy.waitForLine((line) => line.includes('injected fault'), 'tell of the fault')
  await replaced
}

/** New connections come to both threads, and all of them succeed. */
async function works(t: Test, lab: MeshLab): Promise<void> {
  const target = lab.resolve({ to: 'bar-1/httpbin', by: 'service', port: 'tcp' })
  const steady = await startSteadyConnections(lab, 'foo/sleep', target, { atOnce: 4 })
  await until(() => steady.progress.length >= 1, 'a hundred connections', 60_000)
  const { failed } = await steady.finish()
  t.equal(failed, 0)
}

/** Outbound connections that node-a's proxy has open, by its own account. */
async function outbound(lab: MeshLab): Promise<number> {
  const all: { direction: string }[] = JSON.parse((await lab.admin('node-a', '/connections')).body)
  return all.filter(({ direction }) => direction === 'outbound').length
}

/** The sum of a metric of node-a over all label sets of outbound connections. */
async function counted(lab: MeshLab, metric: string): Promise<number> {
  const node = lab.network.namespace('node-a')
  const { body } = await httpGetIn(node, 15020, '/metrics', '127.0.0.1')
  return body
    .split('\n')
    .filter((line) => line.startsWith(`${metric}{reporter="source"`))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
}
