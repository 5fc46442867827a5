import '../support/own-namespaces.ts'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import t from 'tap'
import { ztunnelProgram } from '../../src/lab/app.ts'
import { httpGetIn } from '../../src/lab/http-probe.ts'
import { listenTcp, NetworkNamespace } from '../../src/linux/index.ts'
import { addNamespace } from '../../src/linux/test-support.ts'
import { ScriptedAgent } from '../../src/ztunnel/inpod/test-support.ts'
import { until } from '../support/until.ts'

t.test(
  'a pod that cannot start leaves the node ready; a broken protocol ends the process with 1',
  async (t) => {
    const agent = new ScriptedAgent()
    t.teardown(() => agent.close())
    const proxy = spawn(process.execPath, [ztunnelProgram(), 'proxy'], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        ...process.env,
        XDS_ADDRESS: '',
        CA_ADDRESS: 'https://127.0.0.1:1',
        CA_ROOT_CA: 'SYSTEM',
        INPOD_UDS: agent.path,
      },
    })
    t.teardown(() => proxy.kill('SIGKILL'))
    const exited = once(proxy, 'exit')
    const here = NetworkNamespace.current()
    const ask = (port: number, path: string) => httpGetIn(here, port, path)
    t.equal(await agent.accept(), 1)

    const pod = addNamespace('taken')
    const other = createServer().listen({ fd: pod.run(() => listenTcp({ address: '::', port: 15008 })).fd })
    t.teardown(() => other.close())
    t.match(await agent.add('taken', pod), /^failure to start proxy : failed to bind to address .*15008/)
    t.equal((await ask(15021, '/healthz/ready')).body, 'not ready, pending: workload proxy manager\n')
    t.equal(await agent.ask({ kind: 'snapshot-sent' }), '')
    await until(async () => (await ask(15021, '/healthz/ready')).status === 200, 'readiness')
    const { workloadState } = JSON.parse((await ask(15000, '/config_dump')).body)
    t.match(workloadState, { taken: { state: 'Pending', error: /failed to bind/, info: { name: 'taken' } } })
    t.match((await ask(15020, '/metrics')).body, 'workload_manager_pending_proxy_count 1')

    t.match(await agent.ask({ kind: 'snapshot-sent' }), /^failure to process message/)
    t.same(await exited, [1, null])
  },
)
