import type { Writable } from 'node:stream'
import { pump } from '../../hbone/pump.ts'
import { type HttpHeaders, headerValue } from '../../mesh/http/request.ts'
import { type Answered, Attempt, type Outcome } from './attempt.ts'
import type { BodyFraming, Downstream } from './downstream.ts'
import { errorText, FLAG_OF, HttpError } from './errors.ts'
import type {
  ForwardOptions,
  ForwardResult,
  ForwardTarget,
  HttpResponseHead,
  ResponseFlag,
} from './exchange.ts'
import { failureReply, sendLocalReply } from './local-reply.ts'
import { type Relay, relay } from './relay.ts'
import type { RequestBody } from './request-body.ts'
import { backoffMs, isIdempotent, isUnseen, isWorthAnotherTry, MAX_STALE_ATTEMPTS } from './retry.ts'
import type { HttpUpstreamPool } from './upstream-pool.ts'

export interface ForwardingInput {
  readonly downstream: Downstream
  readonly upstreams: HttpUpstreamPool
  readonly body: RequestBody
  readonly framing: BodyFraming
  readonly expectsContinue: boolean
  readonly upgrade: string | undefined
  /** `performance.now()` at the request's head. */
  readonly startedAt: number
  readonly isGone: boolean
  readonly options: ForwardOptions
}

/** An answer that is tried again is read to its end if that is not far, to keep its connection. */
export const DISCARD_ANSWER_BYTES = 64 * 1024

/** One request on its way to an upstream, over all its tries, and the answer on its way back. */
export class Forwarding {
  readonly #input: ForwardingInput
  readonly #options: ForwardOptions
  readonly #downstream: Downstream
  readonly #flags: ResponseFlag[] = []
  #attempt: Attempt | undefined
  #relay: Relay | undefined
  #target: ForwardTarget
  #tries = 0
  #stale = 0
  #status = 0
  #grpcStatus: number | undefined
  #responseBytes = 0
  #upstreamMs: number | undefined
  #detail: string | undefined
  #wake: (() => void) | undefined
  /** Why all of it is over, retries included. */
  #stopped: HttpError | undefined

  constructor(input: ForwardingInput) {
    this.#input = input
    this.#options = input.options
    this.#target = input.options
    this.#downstream = input.downstream
  }

  async run(): Promise<ForwardResult> {
    const { requestTimeoutMs = 0 } = this.#options
    const timer =
      requestTimeoutMs > 0
        ? setTimeout(
            () => this.#stop(new HttpError('timeout', `not done in ${requestTimeoutMs} ms`)),
            requestTimeoutMs,
          )
        : undefined
    const { body } = this.#input
    body.onTooLarge = () =>
      this.#stop(new HttpError('body-too-large', 'the body of the request is too large'))
    if (
      this.#options.retry === undefined &&
      this.#options.protocol === 'http1' &&
      !isIdempotent(this.#options.head.method)
    )
      body.forget()
    this.#downstream.onClose((complete) => {
      if (!complete) this.#stop(new HttpError('client-gone', 'the client went away'))
    })
    if (this.#input.isGone) this.#stopped = new HttpError('client-gone', 'the client went away')
    await this.#tryUntilAnswered()
    clearTimeout(timer)
    body.stop()
    return this.#result()
  }

  async #tryUntilAnswered(): Promise<void> {
    for (;;) {
      if (this.#stopped !== undefined) {
        this.#fail(this.#stopped)
        return
      }
      this.#tries++
      const outcome = await this.#begin()
      if (!(await this.#mayTryAgain(outcome))) {
        await this.#conclude(outcome)
        return
      }
    }
  }

  #begin(): Promise<Outcome> {
    const { upstreams, body, framing, expectsContinue, upgrade } = this.#input
    this.#attempt = new Attempt({
      upstreams,
      target: this.#target,
      request: { head: this.#options.head, framing, expectsContinue, upgrade },
      body,
      timeoutMs: this.#options.perTryTimeoutMs ?? 0,
      onInformation: (head) => this.#downstream.sendInformation(head),
    })
    return this.#attempt.outcome
  }

  /** Whether there is another try; if so, what is left of the last one is cleared away. */
  async #mayTryAgain(outcome: Outcome): Promise<boolean> {
    if (this.#stopped !== undefined || !this.#input.body.replayable) return false
    const { retry, head } = this.#options
    if (this.#stale < MAX_STALE_ATTEMPTS && isUnseen(outcome, head.method)) {
      this.#stale++
      return true
    }
    if (retry === undefined || !isWorthAnotherTry(outcome, retry)) return false
    const counted = this.#tries - this.#stale
    if (counted > retry.attempts) {
      this.#flags.push('URX')
      return false
    }
    try {
      const next = await retry.nextTry?.()
      if (next !== undefined) this.#target = next
    } catch (error) {
      this.#detail = errorText(error)
      return false
    }
    if (outcome.kind === 'answered') this.#discard(outcome)
    await this.#pause(backoffMs(counted, retry))
    return true
  }

  /** Shorter when everything is stopped meanwhile. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  /** The answer nobody gets. */
  #discard({ body, framing, call }: Answered): void {
    this.#attempt?.done()
    this.#input.body.detach()
    if (framing.contentLength !== undefined && framing.contentLength <= DISCARD_ANSWER_BYTES) body.resume()
    else call.abort()
  }

  #conclude(outcome: Outcome): Promise<void> | void {
    if (outcome.kind === 'failed') {
      this.#fail(this.#stopped ?? outcome.error)
      return
    }
    this.#upstreamMs = performance.now() - this.#input.startedAt
    if (outcome.kind === 'upgraded') return this.#upgrade(outcome)
    if (this.#stopped === undefined) return this.#answer(outcome)
    outcome.call.abort()
    this.#fail(this.#stopped)
  }

  /** Passes the answer on, and resolves when it is through, or is not going to be. */
  #answer({ head: received, framing, body, call }: Answered): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const attempt = this.#attempt
    const head = this.#options.mapResponse?.(received) ?? received
    this.#input.body.forget()
    this.#status = head.status
    this.#grpcStatus = grpcStatusOf(head.headers)
    this.#downstream.onClose(() => {
      attempt?.done()
      resolve()
    })
    let isBroken = false
    attempt?.onBroken((error) => {
      isBroken = true
      this.#break(error)
      resolve()
    })
    if (isBroken) return promise
    const sink = this.#sendHead(head, framing)
    if (sink === undefined) {
      call.abort()
      return promise
    }
    if (!framing.hasBody) {
      body.resume()
      this.#downstream.finish([])
      return promise
    }
    this.#relay = relay(body, sink, () => {
      const trailers = call.trailers()
      this.#grpcStatus = grpcStatusOf(trailers) ?? this.#grpcStatus
      attempt?.done()
      this.#downstream.finish(trailers)
    })
    setImmediate(flushIfEmpty, this.#relay, this.#downstream)
    return promise
  }

  /** Filters may have made something of the head that Node does not let out. */
  #sendHead(head: HttpResponseHead, framing: BodyFraming): Writable | undefined {
    try {
      return this.#downstream.sendHead(head, framing)
    } catch (cause) {
      this.#fail(new HttpError('protocol', `answer cannot be sent: ${errorText(cause)}`, { cause }))
      return undefined
    }
  }

  async #upgrade({ head, stream }: Extract<Outcome, { kind: 'upgraded' }>): Promise<void> {
    const tunnel = this.#stopped === undefined ? this.#downstream.switchProtocols(head) : undefined
    if (tunnel === undefined) {
      stream.destroy()
      this.#note(this.#stopped ?? new HttpError('client-gone', 'the client went away'))
      return
    }
    this.#status = head.status
    const counts = { sent: 0, received: 0 }
    const { error } = await pump(tunnel, stream, counts)
    this.#input.body.bytes += counts.sent
    this.#responseBytes += counts.received
    if (error !== undefined) this.#detail = errorText(error)
  }

  /** Ends everything, whatever it has come to. */
  #stop(error: HttpError): void {
    if (this.#stopped !== undefined) return
    this.#stopped = error
    this.#wake?.()
    this.#attempt?.cancel(error)
  }

  /** The answer broke off after its head. */
  #break(error: HttpError): void {
    this.#note(error)
    this.#relay?.stop()
    this.#downstream.abort()
  }

  /** There is no answer but ours. */
  #fail(error: HttpError): void {
    this.#note(error)
    if (error.code === 'client-gone') return
    const { status, body } = failureReply(error.code)
    const sent = sendLocalReply(this.#downstream, this.#options.head, { status, headers: [], body })
    this.#status = sent.status
    this.#grpcStatus = sent.grpcStatus
    this.#responseBytes = sent.bytes
  }

  #note(error: HttpError): void {
    this.#flags.unshift(FLAG_OF[error.code])
    this.#detail = error.message
  }

  #result(): ForwardResult {
    return {
      status: this.#status,
      grpcStatus: this.#grpcStatus,
      requestBytes: this.#input.body.bytes,
      responseBytes: this.#responseBytes + (this.#relay?.bytes ?? 0),
      durationMs: performance.now() - this.#input.startedAt,
      upstreamMs: this.#upstreamMs,
      flags: this.#flags,
      tries: this.#tries,
      upstreamKey: this.#tries === 0 ? undefined : this.#target.upstreamKey,
      detail: this.#detail,
    }
  }
}

function grpcStatusOf(fields: HttpHeaders): number | undefined {
  const value = headerValue(fields, 'grpc-status')
  return value !== undefined && /^\d{1,3}$/.test(value) ? Number(value) : undefined
}

/** A head is sent with the first bytes of its body, or by itself when there are none yet. */
function flushIfEmpty(moved: Relay, downstream: Downstream): void {
  if (moved.bytes === 0) downstream.flush()
}
