import '../support/own-namespaces.ts'
import t from 'tap'
import type { Component } from '../../src/lab/component.ts'
import { startLab } from '../../src/lab/mesh-lab.ts'
import { type ClientProgram, startLongTransfer, startSteadyConnections } from '../support/client-program.ts'
import { startSecondProxy } from '../support/second-proxy.ts'
import { until } from '../support/until.ts'

t.setTimeout(120_000)

t.test(
  'a new proxy takes over from the old one under traffic: no connection fails, a transfer goes on',
  async (t) => {
    await using lab = await startLab({ proxyEnv: { CONNECTION_TERMINATION_DEADLINE: '60s' } })
    const target = lab.resolve({ to: 'bar-1/httpbin', by: 'service', port: 'tcp' })
    const seconds: Component[] = []
    try {
      const transfer = await startLongTransfer(lab, 'foo/sleep', target)
      const steady = await startSteadyConnections(lab, 'foo/sleep', target)
      // First the server's node, then the client's: 15008 and 15001 change hands.
      for (const node of ['node-b', 'node-a']) {
        const old = lab.component(`ztunnel@${node}`)
        seconds.push(await startSecondProxy(lab, node))
        await hundreds(steady, 1)
        old.signal('SIGTERM')
        await old.waitForLine((line) => line.includes('shutting down'), 'shut down')
        await hundreds(steady, 3)
        t.ok(old.running, `${node}: the old process waits for the transfer`)
      }
      const result = await steady.finish()
      t.equal(result['failed'], 0, JSON.stringify(result))
      const moved = await transfer.finish()
      t.equal(moved['error'], undefined)
      t.equal(moved['sha256'], moved['expected'], 'every byte of the transfer arrived')
      for (const node of ['node-b', 'node-a']) {
        t.same(
          await lab.component(`ztunnel@${node}`).exited,
          { code: 0, signal: null },
          `${node}: a clean end`,
        )
      }
    } finally {
      await Promise.all(seconds.map((second) => second.stop()))
    }
  },
)

/** Waits until so many hundred more connections have been made. */
async function hundreds({ progress }: ClientProgram, count: number): Promise<void> {
  const now = progress.length
  await until(() => progress.length >= now + count, `${count * 100} more connections`, 60_000)
}
