import {
  constants,
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Stream,
} from 'node:http2'
import type { Duplex } from 'node:stream'
import { type CheckedRequest, checkRequest, isRefusal, type Refusal } from './check-request.ts'
import { endWithin, withoutEnd } from './connection-end.ts'
import { Exchange } from './exchange-core.ts'
import { Http2Downstream } from './http2-downstream.ts'
import { clientSessionOptions } from './http2-settings.ts'
import { DISCARD_MS, type EffectiveLimits } from './limits.ts'
import { sendLocalReply } from './local-reply.ts'
import type { ServeHttpOptions } from './serve.ts'

/** Serves HTTP/2 in a tunnel; resolves when it is closed. */
export function serveHttp2(
  tunnel: Duplex,
  options: ServeHttpOptions,
  limits: EffectiveLimits,
): Promise<void> {
  return new Promise((resolve) => {
    const { signal } = options
    tunnel.on('error', ignore)
    const session = withoutEnd(tunnel, () => performServerHandshake(tunnel, clientSessionOptions(limits)))
    session.on('error', (error) => options.onRefused?.(0, error.message))
    const idle = new IdleTimer(limits.idleTimeoutMs, () => {
      session.close()
      endWithin(tunnel, DISCARD_MS)
    })
    session.on('stream', (stream, headers, flags, raw: string[]) => {
      idle.begin(stream)
      const isWhole = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0
      onStream({ stream, headers, raw, isWhole }, options, limits)
    })
    const onDrain = (): void => session.close()
    signal?.addEventListener('abort', onDrain, { once: true })
    if (signal?.aborted) onDrain()
    session.once('close', () => {
      signal?.removeEventListener('abort', onDrain)
      idle.stop()
      tunnel.destroy()
    })
    // HTTP/2 is never half-open.
    tunnel.once('end', () => {
      session.destroy()
      endWithin(tunnel, DISCARD_MS)
    })
    tunnel.once('close', () => {
      session.destroy()
      resolve()
    })
  })
}

interface Received {
  readonly stream: ServerHttp2Stream
  readonly headers: IncomingHttpHeaders
  readonly raw: readonly string[]
  /** The head is all there is. */
  readonly isWhole: boolean
}

function onStream(received: Received, options: ServeHttpOptions, limits: EffectiveLimits): void {
  const { stream, headers } = received
  stream.on('error', ignore)
  const downstream = new Http2Downstream(stream)
  const checked = check(received, limits)
  if (isRefusal(checked)) {
    options.onRefused?.(checked.status, checked.reason)
    sendLocalReply(
      downstream,
      { method: headers[':method'] ?? '', headers: [] },
      { status: checked.status, headers: [], body: `${checked.reason}\n` },
    )
    return
  }
  options.onRequest(
    new Exchange(downstream, checked, {
      upstreams: options.upstreams,
      maxBodyBytes: limits.maxBodyBytes,
      upgrade: undefined,
    }),
  )
}

/** Pseudo-headers are there, once, and legal characters: nghttp2 resets whatever is not. */
function check({ headers, raw, isWhole }: Received, limits: EffectiveLimits): CheckedRequest | Refusal {
  if (listSize(raw) > limits.maxHeaderBytes)
    return { status: 431, reason: `header list larger than ${limits.maxHeaderBytes} bytes` }
  return checkRequest(
    {
      method: headers[':method'] ?? '',
      scheme: headers[':scheme'] ?? '',
      target: headers[':path'] ?? '',
      authority: headers[':authority'],
      rawHeaders: raw,
      hasBody: !isWhole,
      needsHost: true,
    },
    limits,
  )
}

/** As RFC 9113 section 6.5.2 counts it. Node holds a peer to our setting only once it has acknowledged it. */
function listSize(raw: readonly string[]): number {
  let size = FIELD_OVERHEAD * (raw.length / 2)
  for (const text of raw) size += text.length
  return size
}

const FIELD_OVERHEAD = 32

/** Tells when a session has had no streams for too long. */
class IdleTimer {
  readonly #idleTimeoutMs: number
  readonly #onIdle: () => void
  #streams = 0
  #timer: NodeJS.Timeout
  #stopped = false

  constructor(idleTimeoutMs: number, onIdle: () => void) {
    this.#idleTimeoutMs = idleTimeoutMs
    this.#onIdle = onIdle
    this.#timer = this.#start()
  }

  begin(stream: ServerHttp2Stream): void {
    this.#streams++
    clearTimeout(this.#timer)
    stream.once('close', () => {
      this.#streams--
      if (this.#streams === 0 && !this.#stopped) this.#timer = this.#start()
    })
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  #start(): NodeJS.Timeout {
    return setTimeout(this.#onIdle, this.#idleTimeoutMs).unref()
  }
}

function ignore(): void {}
