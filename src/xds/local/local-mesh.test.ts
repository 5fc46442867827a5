import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { MeshStore } from '../../mesh/mesh-store.ts'
import type { XdsLog } from '../log.ts'
import { LocalMesh } from './local-mesh.ts'

const workload = (name: string, ip: string): string =>
  `  - { name: ${name}, namespace: default, workloadIps: [${ip}], protocol: HBONE }\n`
const DENY = `policies:
  - { name: deny, namespace: default, scope: Namespace, action: Deny, rules: [[[{ destinationPorts: [9000] }]]] }
`

/** A log whose lines can be waited for. */
function waitingLog() {
  const lines: string[] = []
  let wake: () => void = () => undefined
  const write = (fields: object, message: string): void => {
    lines.push(`${message} ${JSON.stringify(fields)}`)
    wake()
  }
  const log: XdsLog = { debug: write, info: write, warn: write, error: write }
  const until = async (text: string): Promise<void> => {
    while (!lines.some((line) => line.includes(text))) await new Promise<void>((resolve) => (wake = resolve))
  }
  return { log, lines, until }
}

function setUp(t: Tap, text: string) {
  const path = join(t.testdir({ 'mesh.yaml': text }), 'mesh.yaml')
  const mesh = new MeshStore()
  const { log, lines, until } = waitingLog()
  const local = LocalMesh.load({
    source: { kind: 'file', path },
    apply: (changes) => mesh.apply(changes),
    log,
  })
  // What is watched keeps no process alive; a proxy has its listeners for that.
  const alive = setInterval(() => undefined, 1_000)
  t.teardown(async () => {
    clearInterval(alive)
    await local.close()
  })
  const names = () => [...mesh.workloads()].map(({ name }) => name).sort()
  return { path, mesh, local, lines, until, names }
}

type Tap = { testdir(files: Record<string, string>): string; teardown(fn: () => unknown): unknown }

t.test('a change of the file is a change of the mesh, of no more than what differs', async (t) => {
  const { path, mesh, until, names } = setUp(
    t,
    `workloads:\n${workload('a', '10.0.0.1')}${workload('b', '10.0.0.2')}`,
  )
  t.same(names(), ['a', 'b'])
  const update = new Promise<{ workloads: readonly string[]; policies: readonly string[] }>((resolve) =>
    mesh.subscribe(resolve),
  )
  writeFileSync(`${path}.new`, `workloads:\n${workload('a', '10.0.0.1')}${workload('c', '10.0.0.3')}${DENY}`)
  renameSync(`${path}.new`, path)
  t.match(await update, {
    workloads: ['local//default/c', 'local//default/b'],
    policies: ['default/deny'],
  })
  await until('"changes":3')
  t.same(names(), ['a', 'c'])
})

t.test('a file with an error leaves the last state in force, and says where', async (t) => {
  const { path, local, lines, names } = setUp(t, `workloads:\n${workload('a', '10.0.0.1')}`)
  writeFileSync(path, `workloads:\n${workload('a', '10.0.0.1')}${workload('b', 'nowhere')}`)
  await local.look()
  t.same(names(), ['a'])
  t.match(lines.join('\n'), `${path}:3:50: workloads[1].workloadIps[0]`)
  rmSync(path)
  await local.look()
  t.same(names(), ['a'], 'so does one that is gone')
  t.match(lines.join('\n'), /cannot be read; its last state stays .*ENOENT/)
  writeFileSync(path, `workloads:\n${workload('b', '10.0.0.2')}`)
  await local.look()
  t.same(names(), ['b'])
})

t.test('at first an error is final: nothing would be served, or all of it unprotected', async (t) => {
  const { log } = waitingLog()
  const apply = () => t.fail('nothing is to be applied')
  const load = (source: { kind: 'file'; path: string } | { kind: 'inline'; text: string }) =>
    LocalMesh.load({ source, apply, log })
  t.throws(() => load({ kind: 'inline', text: 'workloads: [{}]' }), {
    name: 'XdsError',
    code: 'local-state',
    message: /LOCAL_XDS cannot be used:\n {2}LOCAL_XDS:1:1\d: workloads\[0\]\.workloadIps/,
  })
  t.throws(() => load({ kind: 'file', path: '/no/such/mesh.yaml' }), {
    code: 'local-state',
    message: /ENOENT/,
  })
})
