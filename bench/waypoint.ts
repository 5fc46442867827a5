// `node bench/waypoint.ts`: requests through a waypoint beside those through two ztunnels and those through nothing,
// in one run; and what 1,000 connections that wait for their next request cost.
import { createRequire } from 'node:module'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runCommand } from '../src/lab/command.ts'
import { Component } from '../src/lab/component.ts'
import { connectIn } from '../src/lab/http-probe.ts'
import { type MeshLab, startLab } from '../src/lab/mesh-lab.ts'
import { ensurePrerequisites } from '../src/lab/prerequisites.ts'
import { usageOf } from './accounting.ts'
import { insideWith, runInside } from './enter.ts'
import { describeMachine, thisMachine } from './report/machine.ts'
import { percentile } from './statistics.ts'

/** A way from a client to the server on the other node. */
interface Way {
  readonly name: string
  readonly from: string
  readonly address: string
  readonly port: number
}

/** What autocannon says of a run, as far as it is used. */
interface Load {
  readonly requests: { readonly average: number }
  readonly latency: { readonly p50: number; readonly p99: number }
  readonly errors: number
  readonly timeouts: number
  readonly non2xx: number
}

const WAYS: readonly Way[] = [
  { name: 'direct', from: 'plain/client', address: '10.244.4.20', port: 8000 },
  { name: 'two ztunnels', from: 'bench/client', address: '10.96.0.10', port: 80 },
  { name: 'ztunnel, waypoint, ztunnel', from: 'bench/client', address: '10.96.0.11', port: 80 },
]
const WAYPOINT_WAY = 2
/** The proxies on the way, in its order. */
const PROXIES = ['ztunnel@node-a', 'waypoint@bench/waypoint', 'ztunnel@node-d'] as const
const HELD = 1_000
const WARM_UP_SECONDS = 2
const MEGABYTE = 1e6

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    connections: { type: 'string', default: '64' },
  },
})

if (insideWith() === undefined) {
  await ensurePrerequisites({ onProgress: say })
  process.exitCode = await runInside('{}')
} else {
  await bench()
  process.exit()
}

async function bench(): Promise<void> {
  const manifests = join(import.meta.dirname, 'waypoint-mesh')
  await using lab = await startLab({ manifests, proxyEnv: { RUST_LOG: 'warn' } })
  const servers = ['bench/server', 'plain/server'].map((id) => startServer(lab, id))
  await Promise.all(servers.map((server) => server.waitForLine((line) => line.length > 0, 'listen')))
  const loads = new Map(WAYS.map((way) => [way, [] as Load[]]))
  // A short one first: nobody is to be measured as it is compiled.
  for (const way of WAYS) await load(lab, way, WARM_UP_SECONDS)
  for (let round = 1; round <= Number(values.rounds); round += 1) {
    for (const [way, results] of loads) {
      say(`round ${round}: ${way.name}`)
      results.push(await load(lab, way, Number(values.seconds)))
    }
  }
  const lines = [...table(loads), '', ...(await memory(lab))]
  process.stdout.write(`${lines.join('\n')}\n`)
  await Promise.all(servers.map((server) => server.stop()))
}

function startServer(lab: MeshLab, id: string): Component {
  const program = join(import.meta.dirname, 'load/server.ts')
  return Component.start({
    name: `server@${id}`,
    namespace: lab.network.namespace(id.replace('/', '.')),
    argv: [program, '8000', '9000'],
    logFile: join(lab.state.logs, `server.${id.replace('/', '.')}.log`),
  })
}

async function load(lab: MeshLab, { from, address, port }: Way, seconds: number): Promise<Load> {
  const program = createRequire(import.meta.url).resolve('autocannon/autocannon.js')
  const argv = [program, '-j', '-n', '-c', String(values.connections), '-d', String(seconds)]
  const output = await runCommand(process.execPath, [...argv, `http://${address}:${port}/`], {
    namespace: lab.network.namespace(from.replace('/', '.')),
    timeoutMs: (seconds + 30) * 1000,
  })
  const result = JSON.parse(output) as Load
  const failed = result.errors + result.timeouts + result.non2xx
  if (failed > 0) throw new Error(`${failed} requests to ${address}:${port} failed`)
  return result
}

function table(loads: ReadonlyMap<Way, readonly Load[]>): readonly string[] {
  const middle = (results: readonly Load[], pick: (load: Load) => number): number =>
    percentile(
      results.map(pick).sort((a, b) => a - b),
      0.5,
    )
  return [
    describeMachine(thisMachine()),
    `autocannon, ${values.connections} connections; median of ${values.rounds} rounds of ${values.seconds} s`,
    '',
    '| way | requests/s | p50 ms | p99 ms |',
    '|---|---:|---:|---:|',
    ...[...loads].map(([{ name }, results]) => {
      const rps = Math.round(middle(results, ({ requests }) => requests.average))
      const [p50, p99] = [
        middle(results, ({ latency }) => latency.p50),
        middle(results, ({ latency }) => latency.p99),
      ]
      return `| ${name} | ${rps} | ${p50} | ${p99} |`
    }),
  ]
}

/** Connections that have had one answer and wait: what each process on the way holds for them. */
async function memory(lab: MeshLab): Promise<readonly string[]> {
  const way = WAYS[WAYPOINT_WAY]
  if (way === undefined) return []
  const resident = (): readonly number[] =>
    PROXIES.map((name) => usageOf(lab.component(name).pid ?? 0).anonymousBytes)
  say(`${HELD} connections that wait`)
  const before = resident()
  const sockets: Socket[] = []
  while (sockets.length < HELD) {
    const batch = Math.min(50, HELD - sockets.length)
    sockets.push(...(await Promise.all(Array.from({ length: batch }, () => answered(lab, way)))))
  }
  const after = resident()
  for (const socket of sockets) socket.destroy()
  return [
    `| process | memory for ${HELD} connections, MB |`,
    '|---|---:|',
    ...PROXIES.map((name, index) => {
      const grown = (after[index] ?? 0) - (before[index] ?? 0)
      return `| ${name} | ${(grown / MEGABYTE).toFixed(1)} |`
    }),
  ]
}

function answered(lab: MeshLab, { from, address, port }: Way): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectIn(lab.network.namespace(from.replace('/', '.')), address, port)
    socket.once('error', reject)
    socket.once('connect', () => socket.write('GET / HTTP/1.1\r\nHost: bench\r\n\r\n'))
    socket.once('data', () => resolve(socket))
  })
}

function say(text: string): void {
  process.stderr.write(`${text}\n`)
}
