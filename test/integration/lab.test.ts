import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { ztunnelProgram } from '../../src/lab/app.ts'
import type { LabJson } from '../../src/lab/report.ts'
import { COEXISTENCE } from '../../src/lab/scenario.ts'

t.test('npm run lab -- --once --json: each connection as expected', async (t) => {
  // Without the test runner's loaders: every process of the lab would load them too.
  const command = ['-u', 'NODE_OPTIONS', process.execPath, ztunnelProgram(), 'lab', '--once', '--json']
  const child = spawn('env', command, { stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = new Promise((resolve) => child.once('exit', resolve))
  const [output, progress, status] = await Promise.all([text(child.stdout), text(child.stderr), exited])
  t.equal(status, 0, progress)
  const lab = JSON.parse(output) as LabJson
  t.equal(lab.asExpected, true)
  t.same(
    lab.connections.map(({ id }) => id),
    COEXISTENCE.map(({ id }) => id),
  )
  for (const { expected, ...connection } of lab.connections) {
    t.test(connection.id, async (t) => {
      t.same(connection.problems, [])
      t.equal(connection.verdict, expected.verdict)
      t.equal(connection.policy, expected.policy ?? null)
      t.same(connection.hops, expected.hops)
      t.equal(connection.wire.protocol, expected.wire)
      t.equal(connection.wire.markerSeen, expected.wire === 'plain', 'readable on the wire only in plain')
      t.same(connection.identities, { client: expected.client ?? null, server: expected.server ?? null })
    })
  }
  const transfer = lab.connections.find(({ id }) => id === 'one-gibibyte')
  t.ok((transfer?.bytesReceived ?? 0) >= 1024 ** 3, 'the proxies counted all of it')
})
