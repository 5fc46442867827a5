import { type HboneRequest, HboneServer } from '../../hbone/index.ts'
import type { SvidSource } from '../../identity/index.ts'
import { formatSocketAddress, workloadIdentity } from '../../mesh/index.ts'
import type { ConnectionTelemetry } from '../../telemetry/index.ts'
import { errorText } from '../errors.ts'
import type { ProxySettings } from '../settings.ts'
import type { CapturedSocket } from './capture-listener.ts'
import type { LocalWorkload } from './local-workload.ts'
import { svidOf } from './own-svid.ts'

export interface HboneAcceptorOptions {
  readonly local: LocalWorkload
  readonly svids: SvidSource
  readonly telemetry: ConnectionTelemetry
  readonly settings: ProxySettings
  readonly onRequest: (request: HboneRequest) => void
}

/**
 * Puts HBONE on the sockets of 15008. The server exists from the first
 * connection on, when the workload's certificate is at hand; a rotation
 * reaches new connections at once and leaves the others alone.
 */
export class HboneAcceptor {
  readonly #options: HboneAcceptorOptions
  #server: Promise<HboneServer> | undefined
  #stopWatching: (() => void) | undefined
  #closed = false

  constructor(options: HboneAcceptorOptions) {
    this.#options = options
  }

  async accept(captured: CapturedSocket): Promise<void> {
    const { local, svids } = this.#options
    try {
      const server = await this.#running()
      // It may have ended while the CA was away. Peers refuse it then, and without a caller the next attempt may be minutes off.
      await svidOf(svids, await local.get())
      if (this.#closed) captured.socket.destroy()
      else server.accept(captured.socket)
    } catch (error) {
      captured.socket.destroy()
      this.#reject(formatSocketAddress(captured.source), formatSocketAddress(captured.destination), error)
    }
  }

  /** GOAWAY to all peers; resolves when the last stream has ended. */
  async drain(): Promise<void> {
    const server = await this.#server?.catch(() => undefined)
    await server?.drain()
  }

  close(): void {
    this.#closed = true
    this.#stopWatching?.()
    void this.#server?.then((server) => server.close()).catch(() => {})
  }

  async #running(): Promise<HboneServer> {
    this.#server ??= this.#start()
    const starting = this.#server
    try {
      return await starting
    } catch (error) {
      // The next connection tries again: the certificate may be there by then.
      if (this.#server === starting) this.#server = undefined
      throw error
    }
  }

  async #start(): Promise<HboneServer> {
    const { local, svids, settings, onRequest } = this.#options
    const workload = await local.get()
    const svid = await svidOf(svids, workload)
    const server = new HboneServer({
      svid,
      settings: settings.hbone,
      onRequest,
      onConnectionError: (error, { peer, local: here }) =>
        this.#reject(formatSocketAddress(peer), formatSocketAddress(here), error),
    })
    // Closed while we waited for the certificate: nobody would ever stop watching.
    if (!this.#closed)
      this.#stopWatching = svids.onRotate(workloadIdentity(workload), (next) => server.rotate(next))
    return server
  }

  #reject(sourceAddress: string, destinationAddress: string, error: unknown): void {
    this.#options.telemetry.rejectedEarly({
      sourceAddress,
      destinationAddress,
      direction: 'inbound',
      error: errorText(error),
    })
  }
}
