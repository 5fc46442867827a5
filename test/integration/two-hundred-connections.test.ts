import '../support/own-namespaces.ts'
import t from 'tap'
import { runCommand } from '../../src/lab/command.ts'
import { startLab } from '../../src/lab/mesh-lab.ts'

const CONNECTIONS = 200

t.test('200 connections are open at once, and each gets its own answer', async (t) => {
  await using lab = await startLab()
  const { host, port } = lab.resolve({ to: 'bar-1/httpbin', by: 'service', port: 'tcp' })
  const program = new URL('../support/many-connections.ts', import.meta.url).pathname
  const output = await runCommand(process.execPath, [program, host, String(port), String(CONNECTIONS)], {
    namespace: lab.network.namespace('foo.sleep'),
  })
  t.same(JSON.parse(output), { open: CONNECTIONS, answered: CONNECTIONS })
})
