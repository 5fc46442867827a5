// `npm run bench`: what two proxies cost, ours and others', in one run.
import { writeFile } from 'node:fs/promises'
import { ensurePrerequisites } from '../src/lab/prerequisites.ts'
import { installEnvoy } from '../src/sidecar/install-envoy.ts'
import { BenchMesh } from './bench-mesh.ts'
import { insideWith, runInside } from './enter.ts'
import { chooseMeasures } from './measures/choose.ts'
import { MEASURES } from './measures/index.ts'
import type { Measure } from './measures/measure.ts'
import { type BenchOptions, OptionsError, parseOptions, USAGE } from './options.ts'
import { commandPeer } from './peers/command.ts'
import { direct } from './peers/direct.ts'
import { envoy } from './peers/envoy.ts'
import { haproxy } from './peers/haproxy.ts'
import { ours } from './peers/node-proxy.ts'
import type { Peer } from './peers/peer.ts'
import { findOrUnpack, type Program } from './programs.ts'
import { Progress } from './progress.ts'
import { thisMachine } from './report/machine.ts'
import { jsonReport, markdownReport } from './report/report.ts'
import { Session } from './session.ts'

/** What the outer process, which has the machine's network, has found for the inner one. */
interface Found {
  readonly haproxy?: Program
  readonly wrk?: Program
  readonly envoy?: string
  readonly missing: readonly string[]
}

const progress = new Progress()
try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const usage = error instanceof OptionsError ? `\n\n${USAGE}` : ''
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}${usage}\n`)
  process.exitCode = 1
}
// What a run that was stopped has under way would go on.
process.exit()

async function main(argv: readonly string[]): Promise<number> {
  if (argv.includes('--help')) {
    process.stdout.write(USAGE)
    return 0
  }
  const options = parseOptions(argv)
  if (options.measures.includes('list')) {
    process.stdout.write(MEASURES.map(({ name, title }) => `${name.padEnd(14)} ${title}\n`).join(''))
    return 0
  }
  const measures = chooseMeasures(MEASURES, options)
  const inside = insideWith()
  if (inside === undefined) {
    await ensurePrerequisites({ onProgress: (message) => progress.say(message) })
    return runInside(JSON.stringify(await find(options)))
  }
  return bench(options, measures, JSON.parse(inside) as Found)
}

/** Has what can be had; what cannot is said, and the others are measured. */
async function find({ peers }: BenchOptions): Promise<Found> {
  const missing: string[] = []
  const attempt = async <T>(wanted: boolean, get: () => Promise<T>): Promise<T | undefined> => {
    if (!wanted) return undefined
    try {
      return await get()
    } catch (error) {
      missing.push(error instanceof Error ? error.message : String(error))
      progress.say(missing.at(-1) ?? '')
      return undefined
    }
  }
  const installing = () => progress.say('fetching Envoy, once')
  const found = {
    haproxy: await attempt(peers.includes('haproxy'), () => findOrUnpack('haproxy')),
    wrk: await attempt(true, () => findOrUnpack('wrk')),
    envoy: await attempt(peers.includes('envoy'), () => installEnvoy(installing)),
  }
  const present = Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined))
  return { ...present, missing }
}

async function bench(options: BenchOptions, measures: readonly Measure[], found: Found): Promise<number> {
  const machine = thisMachine()
  const peers = options.peers.flatMap((name) => peerOf(name, options, found) ?? [])
  const places = peers.map(({ name, captured }) => ({ name, captured }))
  progress.say(`setting up ${options.topology} for ${peers.map(({ title }) => title).join(', ')}`)
  await using mesh = await BenchMesh.start(options.topology, places)
  const { wrk, missing } = found
  await using session = new Session({ mesh, peers, measures, options, wrk, progress })
  const stopped = signalled()
  await Promise.race([session.run(), stopped])
  const client = wrk === undefined ? 'the own client' : 'wrk, at a fixed rate by the own client'
  const report = { machine, options, measures, peers, results: session.results, client, missing }
  const markdown = markdownReport(report)
  process.stdout.write(`\n${markdown}`)
  if (options.markdown !== undefined) await writeFile(options.markdown, markdown)
  if (options.json !== undefined)
    await writeFile(options.json, `${JSON.stringify(jsonReport(report), undefined, 2)}\n`)
  return session.results.failures.length === 0 ? 0 : 1
}

function peerOf(name: string, { commands }: BenchOptions, found: Found): Peer | undefined {
  if (name === 'direct') return direct
  if (name === 'ours') return ours()
  if (name === 'haproxy') return found.haproxy && haproxy(found.haproxy)
  if (name === 'envoy') return found.envoy === undefined ? undefined : envoy(found.envoy)
  const command = commands.find((each) => each.name === name)
  return command && commandPeer(command)
}

/** Rejects when the run is asked to end, so that everything it has started is ended in order. */
function signalled(): Promise<never> {
  return new Promise((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => reject(new Error(`stopped by ${signal}`)))
    }
  })
}
