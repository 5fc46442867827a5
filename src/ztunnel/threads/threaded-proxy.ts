import { closeDescriptor, duplicateDescriptor } from '../../linux/index.ts'
import { formatSocketAddress } from '../../mesh/index.ts'
import { localWorkload, type ServedProxy, type ServedWorkload } from '../data-path.ts'
import { DnsProxy } from '../dns/index.ts'
import { errorText, ProxyError } from '../errors.ts'
import { capturePorts, hbonePorts, type WorkloadPort } from '../proxy/capture-ports.ts'
import { createConnectionCounts, releaseThread } from '../proxy/connection-limit.ts'
import type { TrackedConnection } from '../proxy/connection-tracker.ts'
import { createSocketFactory, openListeners, type SocketFactoryOptions } from '../proxy/socket-factory.ts'
import type { SharedDependencies } from '../proxy/workload-proxy.ts'
import type { ProxySettings } from '../settings.ts'
import type { ThreadWorkload } from './api.ts'
import type { WorkerSlot } from './worker-slot.ts'

export interface ThreadedProxyOptions {
  /** Unique in the process. */
  readonly number: number
  readonly served: ServedWorkload
  readonly shared: SharedDependencies
  readonly clusterId: string
  readonly packetMark: number | undefined
  readonly slots: readonly WorkerSlot[]
  /** It serves nothing any more. */
  readonly onClosed: () => void
}

/** The sockets of one port, by thread. */
interface Listeners {
  readonly fds: readonly number[]
  readonly transparent: boolean
}

/**
 * One workload that is served by all worker threads. The main thread binds its sockets, one per port and thread, and
 * keeps a descriptor of each: a thread that ends leaves its sockets to the next one, with the connections that wait on
 * them. The workload's DNS stays on the main thread.
 */
export class ThreadedProxy implements ServedProxy {
  readonly #options: ThreadedProxyOptions
  readonly #counts: Int32Array<SharedArrayBuffer>
  readonly #dns: DnsProxy | undefined
  readonly #namespace: number | undefined
  readonly #listeners: Listeners[]
  /** Calls to threads that may still come to use the descriptors. */
  readonly #pending = new Set<Promise<unknown>>()
  #running = false
  #draining = false
  #closed = false

  /** Binds; throws ProxyError `bind-failed`, with nothing left open. */
  constructor(options: ThreadedProxyOptions) {
    this.#options = options
    const { served, shared, slots } = options
    this.#counts = createConnectionCounts(slots.length)
    const sockets = {
      namespace: served.namespace,
      mark: options.packetMark,
      reusePort: served.reusePort,
      liveness: shared.settings,
    }
    this.#namespace = served.namespace && duplicateDescriptor(served.namespace.fd)
    let dns: DnsProxy | undefined
    try {
      dns = served.hboneOnly ? undefined : createDns(options, sockets)
      this.#listeners = this.#bind(sockets)
      this.#dns = dns
    } catch (error) {
      dns?.close()
      if (this.#namespace !== undefined) closeDescriptor(this.#namespace)
      throw error
    }
  }

  async run(): Promise<void> {
    this.#running = true
    const { slots } = this.#options
    const serving = slots.map((slot) =>
      this.#track(slot.serve(this.#forThread(slot.thread), () => !this.#draining && !this.#closed)),
    )
    await Promise.all([this.#dns?.run(), ...serving])
  }

  /** For a thread that takes the place of another; undefined while nothing is served. */
  resume(thread: number): ThreadWorkload | undefined {
    return this.#running && !this.#draining && !this.#closed ? this.#forThread(thread) : undefined
  }

  /** A thread has ended, and the connections that it had. */
  threadLost(thread: number): void {
    releaseThread(this.#counts, thread)
  }

  lookup(name: string): Promise<readonly string[]> {
    if (this.#dns === undefined) throw new Error('there is no DNS proxy')
    return this.#dns.lookup(name)
  }

  async connections(): Promise<readonly TrackedConnection[]> {
    const { number, slots } = this.#options
    const parts = await Promise.all(
      // A thread that has just ended has none.
      slots.map(({ worker }) => worker?.channel.call('workloadConnections', number).catch(() => [])),
    )
    return parts.flatMap((part) => part ?? [])
  }

  async drain(): Promise<void> {
    const { number, slots } = this.#options
    this.#draining = true
    // With the threads' copies the ports are closed, and clients refused rather than left to wait.
    void this.#closeListeners()
    const drained = slots.map(({ worker }) => worker?.channel.call('drain', number).catch(() => {}))
    await Promise.all([this.#dns?.drain(), ...drained])
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    const { number, slots, onClosed } = this.#options
    onClosed()
    this.#dns?.close()
    for (const { worker } of slots) if (worker !== undefined) this.#track(worker.close(number))
    void this.#closeDescriptors()
  }

  #forThread(thread: number): ThreadWorkload {
    const { number, served } = this.#options
    return {
      workload: number,
      info: served.info,
      namespace: this.#namespace,
      listeners: this.#listeners.map(({ fds, transparent }) => ({
        // One for all where the port cannot be shared.
        fd: fds[thread % fds.length] ?? -1,
        transparent,
      })),
      hboneOnly: served.hboneOnly,
      counts: this.#counts,
    }
  }

  #track<T>(call: Promise<T>): Promise<T> {
    const settled: Promise<void> = call.then(
      () => void this.#pending.delete(settled),
      () => void this.#pending.delete(settled),
    )
    this.#pending.add(settled)
    return call
  }

  async #closeDescriptors(): Promise<void> {
    await this.#closeListeners()
    if (this.#namespace !== undefined) closeDescriptor(this.#namespace)
  }

  /** The numbers must stay what they are until no thread comes to use them any more. */
  async #closeListeners(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending)
    const listeners = this.#listeners.splice(0)
    for (const { fds } of listeners) fds.forEach(closeDescriptor)
  }

  #bind(sockets: SocketFactoryOptions): Listeners[] {
    const { served, shared, slots } = this.#options
    const { settings, log } = shared
    const { name, namespace } = served.info
    const bound: Listeners[] = []
    for (const { port, address, component } of portsOf(served, settings)) {
      const where = formatSocketAddress({ address, port })
      try {
        const request = { address, port, transparent: settings.originalSource }
        bound.push(openListeners(sockets, request, slots.length))
      } catch (error) {
        for (const { fds } of bound) fds.forEach(closeDescriptor)
        const message = `failed to bind to address ${where}: ${errorText(error)}`
        throw new ProxyError('bind-failed', message, { cause: error })
      }
      log.info('listener established', {
        address: where,
        component,
        transparent: bound.at(-1)?.transparent,
        workload: `${namespace}/${name}`,
      })
    }
    return bound
  }
}

function portsOf({ hboneOnly }: ServedWorkload, settings: ProxySettings): readonly WorkloadPort[] {
  if (hboneOnly) return hbonePorts(settings)
  return settings.proxyEnabled ? capturePorts(settings).filter((port) => port !== undefined) : []
}

function createDns(
  { served, shared, clusterId }: ThreadedProxyOptions,
  sockets: SocketFactoryOptions,
): DnsProxy | undefined {
  const { dns, mesh, random } = shared
  if (dns === undefined) return undefined
  const local = localWorkload({ clusterId }, shared, served.info)
  return DnsProxy.create({ ...dns, mesh, random, local, sockets: createSocketFactory(sockets) })
}
