import { cpuOfMachine, cpuOfThisTree, resetPeak, usageOf } from './accounting.ts'
import type { BenchMesh } from './bench-mesh.ts'
import { httpLoad } from './measures/http-load.ts'
import type { Measure, MeasureContext } from './measures/measure.ts'
import type { BenchOptions } from './options.ts'
import type { Peer, RunningProxy, StartOptions, Variant } from './peers/peer.ts'
import type { Program } from './programs.ts'
import type { Progress } from './progress.ts'
import { type Result, Results } from './results.ts'
import { type Seat, TCP_PORT } from './seat.ts'
import { trace } from './strace.ts'

export interface SessionOptions {
  readonly mesh: BenchMesh
  readonly peers: readonly Peer[]
  readonly measures: readonly Measure[]
  readonly options: BenchOptions
  readonly wrk: Program | undefined
  readonly progress: Progress
}

interface Step {
  readonly round: number
  readonly measure: Measure
  readonly peer: Peer
}

/** A peer in its seat. */
interface Seated {
  readonly peer: Peer
  readonly seat: Seat
  proxies: readonly RunningProxy[]
  variant: Variant | undefined
  /** Variants that did not start: they are not tried again. */
  readonly broken: Set<Variant>
}

/** Takes every measure at every peer in turn, round after round, so that a machine that slows down slows all alike. */
export class Session implements AsyncDisposable {
  readonly results = new Results()
  readonly #options: SessionOptions
  readonly #seated: readonly Seated[]
  #closed = false

  constructor(options: SessionOptions) {
    this.#options = options
    this.#seated = options.peers.map((peer) => {
      const seat = options.mesh.seats.find(({ name }) => name === peer.name)
      if (seat === undefined) throw new Error(`there is no seat for ${peer.name}`)
      return { peer, seat, proxies: [], variant: undefined, broken: new Set<Variant>() }
    })
  }

  /** Rejects only when the harness itself fails: a measure that does is among the results' failures. */
  async run(): Promise<void> {
    for (const { peer, seat } of this.#seated) await peer.prepare(seat)
    const steps = stepsOf(this.#options)
    this.#options.progress.begin(steps.length)
    for (const step of steps) if (!this.#closed) await this.#take(step)
  }

  /** Ends all proxies. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#seated.map((seated) => stop(seated)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #take({ round, measure, peer }: Step): Promise<void> {
    const { progress } = this.#options
    const seated = this.#seated.find((each) => each.peer === peer)
    if (seated === undefined) return
    const where = { measure: measure.name, peer: peer.name, round }
    progress.doing(round, measure.title, peer.title)
    try {
      await this.#start(seated, measure)
      const result = await this.#measure(seated, measure)
      this.results.all.push({ ...where, ...result })
      progress.done(measure, result.sample)
    } catch (error) {
      // Nothing is wrong with a measure from under which everything was taken away.
      if (this.#closed) return
      const reason = error instanceof Error ? error.message : String(error)
      this.results.failures.push({ ...where, reason })
      progress.failed(reason)
      // What it is like now is not known: the next measure begins anew.
      await stop(seated)
    }
  }

  /** Has the pair run as the measure wants it. */
  async #start(seated: Seated, { variant = 'normal', fresh = false }: Measure): Promise<void> {
    const { peer, seat, proxies } = seated
    const running = proxies.every(({ process }) => process.running)
    if (seated.variant === variant && running && !fresh) return
    await stop(seated)
    if (seated.broken.has(variant)) throw new Error('it did not start before')
    try {
      seated.proxies = await peer.start(seat, await this.#startOptions(variant))
    } catch (error) {
      seated.broken.add(variant)
      throw error
    }
    seated.variant = variant
    if (!fresh) await this.#warmUp(seated)
  }

  async #startOptions(variant: Variant): Promise<StartOptions> {
    const { mesh, options } = this.#options
    const { threads } = options
    const port = await xdsPortFor(variant, mesh, options)
    const { address } = mesh.setting.topology.controlPlane
    return {
      variant,
      ...(threads === undefined ? {} : { threads }),
      ...(port === undefined ? {} : { xdsAddress: `https://${address}:${port}` }),
    }
  }

  /** Code is compiled and buffers grow before anything counts. */
  async #warmUp(seated: Seated): Promise<void> {
    const context = this.#context(seated)
    for (const direction of ['up', 'down']) {
      const argv = [direction, seated.seat.address, TCP_PORT, WARM_UP_SECONDS, 2].map(String)
      await this.#options.mesh.load(seated.seat, 'pod', 'bulk.ts', argv, WARM_UP_SECONDS)
    }
    await httpLoad(context, { mode: 'connect', connections: 16, seconds: WARM_UP_SECONDS })
  }

  async #measure(seated: Seated, measure: Measure): Promise<Omit<Result, 'measure' | 'peer' | 'round'>> {
    const pids = seated.proxies.map(({ role, process }) => ({ role, pid: process.pid }))
    const traced = this.#options.options.strace ? pids : []
    const traces = await Promise.all(traced.map(async ({ role, pid }) => ({ role, trace: await trace(pid) })))
    // Of a fresh one, the start belongs to it.
    if (measure.fresh !== true) for (const { pid } of pids) resetPeak(pid)
    const before = pids.map(({ pid }) => usageOf(pid).cpuSeconds)
    const [began, machine, own] = [performance.now(), cpuOfMachine(), cpuOfThisTree()]
    const sample = await measure.run(this.#context(seated))
    const seconds = (performance.now() - began) / 1000
    const foreign = cpuOfMachine() - machine - (cpuOfThisTree() - own)
    const accounts = pids.map(({ role, pid }, index) => {
      const { cpuSeconds, peakBytes } = usageOf(pid)
      return { role, cpuSeconds: cpuSeconds - (before[index] ?? 0), peakBytes }
    })
    const more = accounts.length === 0 ? {} : measure.derive?.(sample, accounts)
    const systemCalls = await Promise.all(
      traces.map(async ({ role, trace: each }) => ({ role, table: await each.stop() })),
    )
    return {
      sample: { ...sample, ...more },
      accounts,
      foreignCpus: Math.max(0, foreign / seconds),
      systemCalls,
    }
  }

  #context({ peer, seat, proxies }: Seated): MeasureContext {
    const { mesh, options, wrk } = this.#options
    return { mesh, seat, peer, proxies, options, wrk }
  }
}

/** What is measured where, in order. */
export function stepsOf({
  measures,
  peers,
  options,
}: Pick<SessionOptions, 'measures' | 'options' | 'peers'>): readonly Step[] {
  const rounds = Array.from({ length: options.rounds }, (_, index) => index + 1)
  return rounds.flatMap((round) =>
    measures
      .filter(({ once = false }) => round === 1 || !once)
      .flatMap((measure) =>
        peers.filter((peer) => suits(peer, measure)).map((peer) => ({ round, measure, peer })),
      ),
  )
}

/** Whether a measure can be taken at a peer. */
function suits(peer: Peer, { variant = 'normal', proxiesOnly = false, name }: Measure): boolean {
  if (proxiesOnly && peer.name === 'direct') return false
  if (name === 'handshakes' && peer.tunnel === 'none') return false
  return peer.variants.includes(variant)
}

async function xdsPortFor(
  variant: Variant,
  mesh: BenchMesh,
  { workloads }: BenchOptions,
): Promise<number | undefined> {
  if (variant === 'large-mesh') return mesh.generated(workloads)
  return variant === 'small-mesh' ? mesh.generated(SMALL_MESH) : undefined
}

async function stop(seated: Seated): Promise<void> {
  await Promise.all(seated.proxies.map(({ process }) => process.stop()))
  seated.proxies = []
  seated.variant = undefined
}

/** Workloads; what the cost of a connection in the large mesh is compared to. */
const SMALL_MESH = 100
const WARM_UP_SECONDS = 0.5
