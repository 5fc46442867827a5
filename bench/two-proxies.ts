// What two proxies cost: the same measures from a pod to a server directly and
// through two node proxies (HBONE between two nodes), in turn, in one run.
// Only the ratio counts: machines differ, and are busy at different times.
import { runCommand } from '../src/lab/command.ts'
import { startLab } from '../src/lab/mesh-lab.ts'
import type { NetworkNamespace } from '../src/linux/index.ts'
import { enterNamespace, startProgram } from './namespace.ts'

interface Path {
  readonly name: string
  readonly client: string
  readonly server: string
  readonly host: string
}

interface Measure {
  readonly name: string
  readonly port: number
  readonly connections: number
  readonly unit: string
}

const HTTP_PORT = 18080
const TCP_PORT = 19090

// Both cross from node-a's side of the fabric to another machine; only one is captured.
const PATHS: readonly Path[] = [
  { name: 'direct', client: 'plain.client', server: 'outside', host: '203.0.113.10' },
  { name: 'two proxies', client: 'foo.sleep', server: 'bar-1.httpbin', host: '' },
]

const MEASURES: readonly Measure[] = [
  { name: 'up', port: TCP_PORT, connections: 1, unit: 'gbps' },
  { name: 'down', port: TCP_PORT, connections: 1, unit: 'gbps' },
  { name: 'keepalive', port: HTTP_PORT, connections: 64, unit: 'rps' },
  { name: 'connect', port: HTTP_PORT, connections: 32, unit: 'rps' },
]

if (enterNamespace()) await bench(Number(process.argv[2] ?? 3), Number(process.argv[3] ?? 4))

async function bench(rounds: number, seconds: number): Promise<void> {
  await using lab = await startLab()
  const paths = PATHS.map((path) =>
    path.host === ''
      ? { ...path, host: lab.resolve({ to: 'bar-1/httpbin', by: 'pod', port: 'http' }).host }
      : path,
  )
  const servers = await Promise.all(
    paths.map(({ server }) =>
      startProgram(lab.network.namespace(server), 'server.ts', [String(HTTP_PORT), String(TCP_PORT)]),
    ),
  )
  try {
    const results = new Map<string, Record<string, number>[]>()
    for (let round = 1; round <= rounds; round++) {
      for (const measure of MEASURES) {
        for (const path of paths) {
          process.stderr.write(`round ${round}/${rounds}: ${measure.name}, ${path.name}\n`)
          const result = await measureOnce(lab.network.namespace(path.client), path, measure, seconds)
          const key = `${measure.name}/${path.name}`
          results.set(key, [...(results.get(key) ?? []), result])
        }
      }
    }
    print(results, rounds, seconds)
  } finally {
    for (const server of servers) server.kill()
  }
}

async function measureOnce(
  namespace: NetworkNamespace,
  path: Path,
  { name, port, connections }: Measure,
  seconds: number,
): Promise<Record<string, number>> {
  const program = new URL('./load/client.ts', import.meta.url).pathname
  const argv = [program, name, path.host, String(port), String(seconds), String(connections)]
  const output = await runCommand(process.execPath, argv, {
    namespace,
    timeoutMs: (seconds + 20) * 1000,
  })
  return JSON.parse(output)
}

function print(
  results: ReadonlyMap<string, Record<string, number>[]>,
  rounds: number,
  seconds: number,
): void {
  const out: string[] = [`median of ${rounds} rounds of ${seconds} s each`, '']
  out.push(
    '| measure | direct | two proxies | ratio | p99 direct / proxies | failed |',
    '|---|---|---|---|---|---|',
  )
  for (const { name, unit, connections } of MEASURES) {
    const of = (path: string, field: string): number =>
      median((results.get(`${name}/${path}`) ?? []).map((result) => result[field] ?? Number.NaN))
    const [direct, proxied] = [of('direct', unit), of('two proxies', unit)]
    const latency =
      unit === 'rps'
        ? `${of('direct', 'p99ms').toFixed(1)} / ${of('two proxies', 'p99ms').toFixed(1)} ms`
        : ''
    const failed = unit === 'rps' ? String(of('two proxies', 'failed')) : ''
    const ratio = (proxied / direct).toFixed(2)
    const digits = unit === 'rps' ? 0 : 2
    out.push(
      `| ${name}, ${connections} conn | ${direct.toFixed(digits)} ${unit} | ${proxied.toFixed(digits)} ${unit} | ${ratio} | ${latency} | ${failed} |`,
    )
  }
  process.stdout.write(`${out.join('\n')}\n`)
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
