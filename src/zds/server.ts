import { setTimeout as delay } from 'node:timers/promises'
import { type NetworkNamespace, SeqpacketServer, type SeqpacketSocket } from '../linux/index.ts'
import type { WorkloadInfo } from './codec.ts'
import { ZdsError } from './errors.ts'
import { ProxyConnection, type ProxyConnectionState } from './proxy-connection.ts'

/** A captured pod. The namespace stays the caller's, who keeps it open until {@link ZdsServer.remove} was called. */
export interface ZdsPod extends WorkloadInfo {
  /** Opaque and unique for as long as the pod lives. */
  readonly uid: string
  readonly netns: NetworkNamespace
}

/** How to serve; see {@link ZdsServer.listen}. */
export interface ZdsServerOptions {
  /** Path of the Unix socket; Istio's is `/var/run/ztunnel/ztunnel.sock`. Its folder must exist. */
  readonly path: string
  /** Permissions of the socket, default 0600. */
  readonly mode?: number
  /** Pods known from the start. A proxy that runs already drops whatever a snapshot does not name. */
  readonly pods?: readonly ZdsPod[]
  /** Pods that exist but whose namespace is not at hand: a proxy that knows them shall keep them. */
  readonly keep?: readonly string[]
  /** Time for each answer of a proxy, milliseconds. Default 5000, as Istio's. */
  readonly answerTimeoutMs?: number
  /** A proxy has been told all pods. */
  readonly onSynced?: (proxy: number) => void
  /** What a new proxy said to a pod of the snapshot, as it was told of it; empty for success. */
  readonly onSnapshotAnswer?: (pod: ZdsPod, error: string) => void
  /** A proxy's connection ended. `introduced`: it may have been told of pods. */
  readonly onConnectionError?: (error: ZdsError, proxy: number, introduced: boolean) => void
}

/** One connected proxy, for status pages. */
export interface ConnectedProxy {
  /** Counts up with each connection. */
  readonly proxy: number
  readonly state: ProxyConnectionState
}

/** As Istio's agent. */
const ANSWER_TIMEOUT_MS = 5_000
/** Istio accepts five connections a second: a proxy that reconnects in a loop must not keep the agent busy. */
const ACCEPT_INTERVAL_MS = 200
/** One proxy, two during an upgrade; more means somebody else has access to the socket. */
const MAX_CONNECTIONS = 8

/**
 * The agent's end of ZDS. It holds the set of captured pods, names them all to every proxy that connects, and passes
 * changes on: additions to the newest proxy, removals to all. So a proxy that is to replace another takes over all pods
 * while the old one drains.
 */
export class ZdsServer {
  readonly #options: ZdsServerOptions
  readonly #listener: SeqpacketServer
  readonly #pods: Map<string, ZdsPod>
  readonly #kept: Set<string>
  /** In order of connection. */
  readonly #connections = new Map<number, ProxyConnection>()
  readonly #closed = new AbortController()
  #connectionCount = 0

  private constructor(options: ZdsServerOptions, listener: SeqpacketServer) {
    this.#options = options
    this.#listener = listener
    this.#pods = new Map(options.pods?.map((pod) => [pod.uid, pod]))
    this.#kept = new Set(options.keep)
    void this.#accept()
  }

  /** Throws LinuxError, with `EADDRINUSE` when another agent serves the path. */
  static listen(options: ZdsServerOptions): ZdsServer {
    return new ZdsServer(options, SeqpacketServer.listen(options.path, options.mode))
  }

  get proxies(): readonly ConnectedProxy[] {
    return [...this.#connections].map(([proxy, connection]) => ({ proxy, state: connection.state }))
  }

  /**
   * Adds a pod and hands it to the newest proxy. The pod is part of every later snapshot, whatever this call's outcome.
   * Rejects with ZdsError `refused-by-proxy` with the proxy's words, `no-proxy`, `timeout`, `connection-lost`,
   * `packet-too-large` or `closed`; calling again is the way to retry and harmless.
   */
  async add(pod: ZdsPod): Promise<void> {
    this.#assertOpen()
    this.#pods.set(pod.uid, pod)
    this.#kept.delete(pod.uid)
    const newest = [...this.#connections.values()].findLast(({ introduced }) => introduced)
    if (newest === undefined) {
      throw new ZdsError(
        'no-proxy',
        'no node proxy is connected; is ztunnel proxy running with this ZDS socket?',
      )
    }
    const error = await this.#announce(newest, pod)
    if (error !== '') throw new ZdsError('refused-by-proxy', error)
  }

  /**
   * Takes a pod away from all proxies. Resolves when each has answered or gone: a removal does not fail. The namespace
   * may be closed as soon as this was called.
   */
  async remove(uid: string): Promise<void> {
    this.#pods.delete(uid)
    this.#kept.delete(uid)
    const introduced = [...this.#connections.values()].filter((connection) => connection.introduced)
    await Promise.allSettled(introduced.map((connection) => connection.exchange({ kind: 'del', uid })))
  }

  /** Ends all connections and stops listening. Proxies keep serving the pods that they know. */
  close(): void {
    if (this.#closed.signal.aborted) return
    this.#closed.abort()
    this.#listener.close()
    for (const connection of this.#connections.values()) connection.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  async #accept(): Promise<void> {
    const { signal } = this.#closed
    while (!signal.aborted) {
      try {
        const socket = await this.#listener.accept()
        if (socket === undefined) return
        this.#connected(socket)
      } catch (cause) {
        // Out of descriptors, mostly: connections wait in the queue and are tried again.
        this.#report(
          new ZdsError('connection-lost', `cannot accept a node proxy: ${String(cause)}`, { cause }),
          0,
          false,
        )
      }
      await delay(ACCEPT_INTERVAL_MS, undefined, { signal }).catch(() => undefined)
    }
  }

  #connected(socket: SeqpacketSocket): void {
    const id = ++this.#connectionCount
    if (this.#connections.size >= MAX_CONNECTIONS) {
      socket.close()
      this.#report(
        new ZdsError('out-of-turn', `more than ${MAX_CONNECTIONS} node proxies; this one is refused`),
        id,
        false,
      )
      return
    }
    const connection = new ProxyConnection({
      socket,
      answerTimeoutMs: this.#options.answerTimeoutMs ?? ANSWER_TIMEOUT_MS,
      onClosed: (error, introduced) => {
        this.#connections.delete(id)
        this.#report(error, id, introduced)
      },
    })
    this.#connections.set(id, connection)
    this.#serve(id, connection).catch((error) => connection.close(error))
  }

  async #serve(id: number, connection: ProxyConnection): Promise<void> {
    await connection.greet()
    for (const uid of this.#kept) await connection.exchange({ kind: 'keep', uid })
    // A Map's iterator also gives what is added meanwhile; naming a pod twice is harmless.
    for (const pod of this.#pods.values()) {
      const error = await this.#announce(connection, pod)
      this.#options.onSnapshotAnswer?.(pod, error)
    }
    await connection.finishSnapshot()
    this.#options.onSynced?.(id)
  }

  /** The proxy's error text. The pod may be gone, or have another namespace, by the time its turn has come. */
  async #announce(connection: ProxyConnection, pod: ZdsPod): Promise<string> {
    const { uid, name, namespace, serviceAccount } = pod
    const current = (): boolean => this.#pods.get(uid) === pod
    try {
      return await connection.exchange(
        { kind: 'add', uid, workloadInfo: { name, namespace, serviceAccount } },
        () => (current() ? [pod.netns.fd] : undefined),
      )
    } catch (error) {
      // One pod's names must not cost the others their snapshot.
      if (error instanceof ZdsError && error.code === 'packet-too-large' && connection.state !== 'closed') {
        return error.message
      }
      throw error
    }
  }

  #report(error: ZdsError, proxy: number, introduced: boolean): void {
    if (!this.#closed.signal.aborted) this.#options.onConnectionError?.(error, proxy, introduced)
  }

  #assertOpen(): void {
    if (this.#closed.signal.aborted) throw new ZdsError('closed', 'the ZDS server is closed')
  }
}
