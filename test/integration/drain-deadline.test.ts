import '../support/own-namespaces.ts'
import t from 'tap'
import { httpGetIn } from '../../src/lab/http-probe.ts'
import { startLab } from '../../src/lab/mesh-lab.ts'
import { startLongTransfer } from '../support/client-program.ts'
import { until } from '../support/until.ts'

const DEADLINE_MS = 5_000

t.test(
  'what is open at the drain deadline is cut, with a line that says so; a second Ctrl-C does not wait',
  async (t) => {
    await using lab = await startLab({ proxyEnv: { CONNECTION_TERMINATION_DEADLINE: `${DEADLINE_MS}ms` } })
    const target = lab.resolve({ to: 'bar-1/httpbin', by: 'service', port: 'tcp' })

    const transfer = await startLongTransfer(lab, 'foo/sleep', target)
    const server = lab.component('ztunnel@node-b')
    const forced = server.waitForLine(
      (line) => line.includes('drain duration expired with pending connections, forcefully shutting down'),
      'force its end',
    )
    server.signal('SIGTERM')
    await server.waitForLine((line) => line.includes('shutting down'), 'shut down')
    const admin = await lab.admin('node-b', '/config_dump')
    t.equal(admin.status, 200, 'the admin port answers to the end')
    const probe = httpGetIn(lab.network.namespace('node-b'), 15021, '/healthz/ready')
    await t.rejects(probe, /ECONNREFUSED/, 'readiness is the first to go')
    await forced
    t.match((await transfer.ended)['error'], /ECONNRESET|EPIPE|ended the connection first/)
    t.same(await server.exited, { code: 0, signal: null })
    const drained = 'connection closed due to connection drain'
    await until(() => lab.proxyLogs().some(({ error }) => error === drained), `an access line: ${drained}`)

    const client = lab.component('ztunnel@node-a')
    const outside = await startLongTransfer(
      lab,
      'foo/sleep',
      lab.resolve({ to: 'outside', by: 'pod', port: 'tcp' }),
    )
    client.signal('SIGINT')
    await client.waitForLine((line) => line.includes('shutting down'), 'shut down')
    const began = performance.now()
    client.signal('SIGINT')
    t.same(await client.exited, { code: 0, signal: null })
    t.ok(performance.now() - began < DEADLINE_MS - 1000, 'the deadline was not waited for')
    t.match((await outside.ended)['error'], /./)
  },
)
