import { setImmediate as nextTurn } from 'node:timers/promises'
import type { IdentityLog } from '../identity/index.ts'
import { MeshEncoder, type ResourceCache, type SourceSnapshot } from '../xds/index.ts'
import type { IdentityGuard } from './identity-guard.ts'

export interface MeshPublisherOptions {
  readonly cache: ResourceCache
  readonly guard: Pick<IdentityGuard, 'replace'>
  readonly log: IdentityLog
}

/**
 * Brings a source's meshes to the clients, the newest only, with turns for
 * other work: a mesh of 100,000 workloads takes seconds to encode, in which
 * probes, pings and certificate requests must be answered.
 */
export class MeshPublisher {
  readonly #options: MeshPublisherOptions
  readonly #encoder = new MeshEncoder()
  #next: Waiting | undefined
  #working: Promise<void> | undefined

  constructor(options: MeshPublisherOptions) {
    this.#options = options
  }

  /** Takes the place of a mesh that waits. */
  publish(mesh: SourceSnapshot): void {
    // What the one that waited had to say is as old as that one.
    this.#next = { mesh, knownAt: this.#next?.knownAt ?? performance.now() }
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined
    })
  }

  /** Resolves when nothing waits any more. */
  async idle(): Promise<void> {
    while (this.#working !== undefined) await this.#working
  }

  async #work(): Promise<void> {
    for (let next = this.#take(); next !== undefined; next = this.#take()) {
      try {
        await this.#put(next.mesh, next.knownAt)
      } catch (err) {
        this.#options.log.error({ err }, 'a mesh cannot be served; the one before it stays in force')
      }
    }
  }

  #take(): Waiting | undefined {
    const next = this.#next
    this.#next = undefined
    return next
  }

  async #put(read: SourceSnapshot, knownAt: number): Promise<void> {
    const { mesh, resources } = await this.#encoder.encode(read, () => nextTurn())
    // First the right to a certificate, then the news that makes a proxy ask for it.
    this.#options.guard.replace(mesh.workloads)
    this.#options.cache.replace(resources, knownAt)
  }
}

interface Waiting {
  readonly mesh: SourceSnapshot
  /** By `performance.now()`. */
  readonly knownAt: number
}
