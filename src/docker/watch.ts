import { setTimeout as pause } from 'node:timers/promises'
import type { DockerClient } from './client.ts'
import { DockerError } from './errors.ts'
import type { Container, DockerEvent, DockerSnapshot, Network } from './model.ts'

/** Where lines about the engine go. */
export interface DockerLog {
  info(message: string, fields?: Readonly<Record<string, unknown>>): void
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void
}

export interface DockerWatchOptions {
  readonly client: DockerClient
  readonly log: DockerLog
  /** After the first snapshot, with each that differs, and when `problem` comes or goes. */
  readonly onChange: () => void
  /** Time between two looks whether the engine still answers, milliseconds. Default 10,000. */
  readonly pingIntervalMs?: number
}

/** First pause after the engine was lost, milliseconds; doubled up to the longest. */
const MIN_PAUSE_MS = 100
const MAX_PAUSE_MS = 5_000
/** Containers asked for at a time. */
const CONCURRENT_QUESTIONS = 8
/** A daemon that hangs ends no connection; this is how often it is asked whether it still answers. Milliseconds. */
const PING_INTERVAL_MS = 10_000

/** Keeps a picture of an engine's containers and networks, through its restarts. */
export class DockerWatch {
  readonly #options: DockerWatchOptions
  readonly #closed = new AbortController()
  readonly #dirty = new Set<string>()
  #networksDirty = false
  #refreshing: Promise<void> | undefined
  #hostName = ''
  #containers: ReadonlyMap<string, Container> = new Map()
  #networks: ReadonlyMap<string, Network> = new Map()
  #problem: DockerError | undefined
  #running: Promise<void> = Promise.resolve()

  private constructor(options: DockerWatchOptions) {
    this.#options = options
  }

  /** Resolves with the first picture. Rejects with DockerError when there is none to be had. */
  static async start(options: DockerWatchOptions): Promise<DockerWatch> {
    const watch = new DockerWatch(options)
    const session = new AbortController()
    const events = await watch.#open(session)
    watch.#running = watch.#run(events, session)
    return watch
  }

  /** The last picture; that of the time before, while the engine is gone. */
  get snapshot(): DockerSnapshot {
    return { hostName: this.#hostName, containers: this.#containers, networks: this.#networks }
  }

  /** Why the picture may be an old one. */
  get problem(): DockerError | undefined {
    return this.#problem
  }

  async close(): Promise<void> {
    this.#closed.abort()
    await this.#running
  }

  /** Listens first and looks then: nothing that happens in between is missed. */
  async #open(session: AbortController): Promise<AsyncIterable<DockerEvent>> {
    const { client } = this.#options
    const events = await client.events(AbortSignal.any([session.signal, this.#closed.signal]))
    try {
      const { hostName } = await client.info()
      const networks = await client.networks()
      const containers = new Map<string, Container>()
      await this.#ask(await client.containerIds(), containers)
      this.#hostName = hostName
      this.#networks = networks
      this.#containers = containers
      return events
    } catch (error) {
      session.abort()
      throw error
    }
  }

  async #run(first: AsyncIterable<DockerEvent>, firstSession: AbortController): Promise<void> {
    let [events, session]: [AsyncIterable<DockerEvent> | undefined, AbortController] = [first, firstSession]
    let delay = MIN_PAUSE_MS
    while (!this.#closed.signal.aborted) {
      if (events !== undefined) {
        delay = MIN_PAUSE_MS
        await this.#follow(events, session)
      }
      await pause(delay, undefined, { signal: this.#closed.signal }).catch(() => undefined)
      delay = Math.min(MAX_PAUSE_MS, 2 * delay)
      session = new AbortController()
      events = await this.#reopen(session)
    }
    session.abort()
  }

  async #reopen(session: AbortController): Promise<AsyncIterable<DockerEvent> | undefined> {
    if (this.#closed.signal.aborted) return undefined
    try {
      const events = await this.#open(session)
      this.#options.log.info('Docker answers again', { containers: this.#containers.size })
      this.#problem = undefined
      this.#options.onChange()
      return events
    } catch (error) {
      this.#lost(error)
      return undefined
    }
  }

  /** Until the engine goes, or stops answering. */
  async #follow(events: AsyncIterable<DockerEvent>, session: AbortController): Promise<void> {
    const { client, pingIntervalMs = PING_INTERVAL_MS } = this.#options
    const probe = setInterval(() => {
      client.ping().catch((error: unknown) => session.abort(error))
    }, pingIntervalMs).unref()
    try {
      for await (const event of events) this.#take(event, session)
      this.#lost(
        new DockerError('unreachable', `the Docker daemon at ${client.endpoint.text} ended the connection`),
      )
    } catch (error) {
      this.#lost(session.signal.reason instanceof DockerError ? session.signal.reason : error)
    } finally {
      clearInterval(probe)
      session.abort()
      await this.#refreshing
      this.#dirty.clear()
    }
  }

  #take({ type, action, container }: DockerEvent, session: AbortController): void {
    if (container !== undefined && container !== '') this.#dirty.add(container)
    if (type === 'network' && (action === 'create' || action === 'destroy')) this.#networksDirty = true
    this.#refreshing ??= this.#refresh()
      // Without the answers the picture is wrong from now on: begin anew.
      .catch((error: unknown) => session.abort(error))
      .finally(() => {
        this.#refreshing = undefined
      })
  }

  async #refresh(): Promise<void> {
    const { client } = this.#options
    while (this.#dirty.size > 0 || this.#networksDirty) {
      const ids = [...this.#dirty]
      this.#dirty.clear()
      if (this.#networksDirty) {
        this.#networksDirty = false
        this.#networks = await client.networks()
      }
      const containers = new Map(this.#containers)
      await this.#ask(ids, containers)
      this.#containers = containers
      if (!this.#closed.signal.aborted) this.#options.onChange()
    }
  }

  /** One container that cannot be read costs the mesh that container. */
  async #ask(ids: readonly string[], into: Map<string, Container>): Promise<void> {
    const { client, log } = this.#options
    await inParallel(ids, async (id) => {
      const container = await client.container(id).catch((error: unknown) => {
        if (!(error instanceof DockerError) || error.code !== 'malformed') throw error
        log.warn('a container is passed over', { id, error: error.message })
        return undefined
      })
      if (container === undefined) into.delete(id)
      else into.set(id, container)
    })
  }

  #lost(cause: unknown): void {
    if (this.#closed.signal.aborted) return
    const { client } = this.#options
    const error =
      cause instanceof DockerError
        ? cause
        : new DockerError('unreachable', `the Docker daemon at ${client.endpoint.text} is gone`, { cause })
    if (error.message === this.#problem?.message) return
    this.#problem = error
    this.#options.log.warn('Docker is away; what it last said stays in force', { error: error.message })
    this.#options.onChange()
  }
}

async function inParallel<T>(items: readonly T[], task: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values()
  const worker = async (): Promise<void> => {
    for (const item of rest) await task(item)
  }
  await Promise.all(Array.from({ length: Math.min(CONCURRENT_QUESTIONS, items.length) }, worker))
}
