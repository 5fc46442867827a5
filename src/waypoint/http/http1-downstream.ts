import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex, Writable } from 'node:stream'
import type { HttpHeaders } from '../../mesh/http/request.ts'
import { abandon } from './connection-end.ts'
import type { BodyFraming, Downstream } from './downstream.ts'
import type { HttpResponseHead } from './exchange.ts'
import { fieldPairs, trailerFields, withoutFields } from './header-fields.ts'

/** The client of one HTTP/1 request. */
export class Http1Downstream implements Downstream {
  readonly protocol = 'http1'
  readonly version: 'HTTP/1.0' | 'HTTP/1.1'
  readonly body: IncomingMessage
  readonly #response: ServerResponse
  readonly #tunnel: Duplex
  readonly #isUpgrade: boolean
  readonly #onClose: ((complete: boolean) => void)[] = []
  #framing: BodyFraming | undefined
  #switched: (() => void) | undefined

  constructor(request: IncomingMessage, response: ServerResponse, tunnel: Duplex, isUpgrade: boolean) {
    this.version = request.httpVersion === '1.0' ? 'HTTP/1.0' : 'HTTP/1.1'
    this.body = request
    this.#response = response
    this.#tunnel = tunnel
    this.#isUpgrade = isUpgrade
    // The upstream's date goes on; an answer of ours has its own.
    response.sendDate = false
  }

  requestTrailers(): HttpHeaders {
    return trailerFields(this.body.rawTrailers)
  }

  sendInformation(head: HttpResponseHead): void {
    const response = this.#response
    // HTTP/1.0 has none (RFC 9110 section 15.2).
    if (response.headersSent || response.destroyed || this.version === 'HTTP/1.0') return
    if (head.status === 100) response.writeContinue()
    else response.writeInformation(head.status, [...head.headers])
  }

  sendHead(head: HttpResponseHead, framing: BodyFraming): Writable {
    const response = this.#response
    this.#framing = framing
    const isChunked = framing.hasBody && framing.contentLength === undefined && this.version === 'HTTP/1.1'
    const headers = [...(isChunked ? head.headers : withoutFields(head.headers, TRAILER))]
    if (framing.contentLength !== undefined && head.status !== 204)
      headers.push('content-length', String(framing.contentLength))
    response.writeHead(head.status, headers)
    return response
  }

  flush(): void {
    if (!this.#response.destroyed) this.#response.flushHeaders()
  }

  finish(trailers: HttpHeaders): void {
    const response = this.#response
    if (response.destroyed) return
    if (trailers.length > 0 && this.#framing?.hasBody && this.#framing.contentLength === undefined)
      response.addTrailers(fieldPairs(trailerFields(trailers)))
    response.end()
  }

  switchProtocols(head: HttpResponseHead): Duplex | undefined {
    if (!this.#isUpgrade || this.#tunnel.destroyed) return undefined
    const lines = ['HTTP/1.1 101 Switching Protocols', 'connection: upgrade']
    for (const [name, value] of fieldPairs(head.headers)) lines.push(`${name}: ${value}`)
    this.#response.detachSocket(tunnelAsSocket(this.#tunnel))
    this.#tunnel.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
    this.#switched?.()
    return this.#tunnel
  }

  abort(): void {
    abandon(this.#tunnel)
  }

  onClose(listener: (complete: boolean) => void): void {
    if (this.#onClose.push(listener) > 1) return
    const onClose = (): void => this.#close(this.#response.writableFinished)
    this.#response.once('finish', onClose).once('close', onClose)
  }

  /** For the connection, which has answered in place of the exchange. */
  cancel(): void {
    this.#response.detachSocket(tunnelAsSocket(this.#tunnel))
    this.#close(false)
  }

  /** For the connection: it is no HTTP from now on. */
  onSwitched(listener: () => void): void {
    this.#switched = listener
  }

  #close(complete: boolean): void {
    for (const listener of this.#onClose.splice(0)) listener(complete)
  }
}

/** Node's types want a `net.Socket` where its code takes any duplex stream. */
export function tunnelAsSocket(tunnel: Duplex): Parameters<ServerResponse['assignSocket']>[0] {
  return tunnel as Parameters<ServerResponse['assignSocket']>[0]
}

const TRAILER: ReadonlySet<string> = new Set(['trailer'])
