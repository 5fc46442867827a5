import '../support/own-namespaces.ts'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { runClient } from '../../src/lab/client.ts'
import { runCommand } from '../../src/lab/command.ts'
import { startLab } from '../../src/lab/mesh-lab.ts'

t.test(
  'with XDS_ON_DEMAND a proxy knows its own pods and what they talked to (wire/ztunnel 10.4)',
  async (t) => {
    // Every process of the lab gets this one's environment.
    process.env['XDS_ON_DEMAND'] = 'true'
    await using lab = await startLab()
    const namespace = lab.network.namespace('foo.sleep')
    const { host, port } = lab.resolve({ to: 'bar-1/httpbin', by: 'service', port: 'http' })
    const report = await runClient(namespace, { kind: 'http', host, port, marker: 'on-demand' })
    t.match(report, { ok: true, status: 200 })
    const dump = await runCommand(process.execPath, ['-e', PRINT, 'http://127.0.0.1:15000/config_dump'], {
      namespace: lab.network.namespace('node-a'),
    })
    const { workloads, services } = JSON.parse(dump) as { workloads: Named[]; services: Named[] }
    const names = workloads.map(({ namespace, name }) => `${namespace}/${name}`)
    t.has(names, ['bar-1/httpbin', 'foo/sleep'])
    t.notOk(names.includes('bar-3/helloworld'), 'nobody on this node has asked for that one')
    t.same(
      services.map(({ name }) => name),
      ['httpbin'],
    )
    const log = readFileSync(join(lab.state.logs, 'ztunnel@node-a.log'), 'utf8')
    t.notMatch(log, /on-demand lookup failed/)
  },
)

interface Named {
  readonly name: string
  readonly namespace: string
}

const PRINT = 'process.stdout.write(await (await fetch(process.argv[1])).text())'
