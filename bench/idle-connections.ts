// What an idle tunnelled connection costs each proxy in memory: opens many
// from one ambient pod to another, lets them rest, and reads the proxies'
// resident memory from the kernel before and after.
import { readFileSync } from 'node:fs'
import { startLab } from '../src/lab/mesh-lab.ts'
import { nodeProxyName } from '../src/lab/processes.ts'
import { enterNamespace, startProgram } from './namespace.ts'

const CONNECTIONS = Number(process.argv[2] ?? 5000)
const PROXIES = ['node-a', 'node-b']

if (enterNamespace()) await bench()

async function bench(): Promise<void> {
  const began = performance.now()
  // The default leaves room for other workloads in the process's descriptors.
  const proxyEnv = { ZTUNNEL_MAX_CONNECTIONS_PER_WORKLOAD: String(2 * CONNECTIONS) }
  await using lab = await startLab({ proxyEnv })
  process.stdout.write(
    `start to ready: ${((performance.now() - began) / 1000).toFixed(1)} s for the whole lab\n`,
  )
  const memory = (node: string): number => residentBytes(lab.component(nodeProxyName(node)).pid ?? 0)
  const server = await startProgram(lab.network.namespace('bar-1.httpbin'), 'server.ts', ['18080', '19090'])
  const { host } = lab.resolve({ to: 'bar-1/httpbin', by: 'pod', port: 'http' })
  const open = (count: number) =>
    startProgram(lab.network.namespace('foo.sleep'), 'idle.ts', [host, '19090', String(count)])
  // The first ones load code and make the tunnel: that is not a connection's cost.
  const warmUp = await open(100)
  const before = PROXIES.map(memory)
  const idle = await open(CONNECTIONS).catch((error) => {
    for (const { error: reason } of lab.proxyLogs().slice(-3)) process.stderr.write(`${reason}\n`)
    throw error
  })
  const after = PROXIES.map(memory)
  for (const [index, node] of PROXIES.entries()) {
    const bytes = (after[index] ?? 0) - (before[index] ?? 0)
    process.stdout.write(
      `${node}: ${mib(before[index])} → ${mib(after[index])} MiB, ${(bytes / CONNECTIONS / 1024).toFixed(1)} KiB per idle connection\n`,
    )
  }
  for (const child of [warmUp, idle, server]) child.kill()
}

/** VmRSS of a process, in bytes. */
function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kib) * 1024
}

function mib(bytes = 0): string {
  return (bytes / 1024 ** 2).toFixed(0)
}
