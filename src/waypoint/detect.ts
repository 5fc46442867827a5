import type { Duplex } from 'node:stream'
import type { Cancellation } from '../hbone/index.ts'
import { SNIFF_BYTES, sniffProtocol } from './http/index.ts'

/** What a connection of an undeclared protocol turned out to be. */
export type Detected =
  | { readonly kind: 'http' }
  | {
      readonly kind: 'tcp'
      /** What was dialled meanwhile, for who does not speak first. */
      readonly upstream?: Duplex | undefined
      /** All that the client had to say, when it has ended its half: an ended stream takes nothing back. */
      readonly head?: Buffer | undefined
    }

export interface DetectOptions {
  /** Connects to the upstream for a client that says nothing; undefined when that must not be done. */
  readonly dial: () => Promise<Duplex> | undefined
  readonly signal: Cancellation
  /** How long a client is waited for before the upstream is dialled, milliseconds. Default 20. */
  readonly silenceMs?: number | undefined
}

/**
 * A client that speaks first has sent its first bytes with its request or a
 * moment later: they are there before this is over, and no upstream is dialled
 * in vain. A server-first protocol (MySQL, SMTP) waits this much longer for its
 * greeting, once in a connection. Istio's waypoint waits for the client alone,
 * until its listener filter times out.
 */
const SILENCE_MS = 20

/** What a client that has begun a request line may take to go on, milliseconds; then it is no HTTP. */
const PARTIAL_MS = 1000

/**
 * Finds out what is spoken in a tunnel whose port does not say: HTTP by its
 * first bytes, anything else is TCP. Whoever speaks first decides: a client
 * that waits for its server is connected to it, and its bytes are looked at
 * only as long as the server has said nothing. The bytes stay in the streams.
 * Rejects with what `dial` rejects with, or when the signal fires.
 */
export async function detectProtocol(client: Duplex, options: DetectOptions): Promise<Detected> {
  const { dial, signal, silenceMs = SILENCE_MS } = options
  const stop = new AbortController()
  const onAbort = (): void => stop.abort()
  signal.addEventListener('abort', onAbort)
  if (signal.aborted) onAbort()
  try {
    const speaks = firstBytes(client, stop.signal)
    const early = await Promise.race([speaks, silence(silenceMs, stop.signal)])
    const found = early === 'silent' ? await raced(speaks, dial, stop.signal) : early
    if (signal.aborted) throw signal.reason
    return found
  } finally {
    // Gives the client's bytes back, if it is still being listened to.
    stop.abort()
    signal.removeEventListener('abort', onAbort)
  }
}

async function raced(
  speaks: Promise<Detected>,
  dial: DetectOptions['dial'],
  signal: AbortSignal,
): Promise<Detected> {
  const dialling = dial()
  if (dialling === undefined) return speaks
  const answers = dialling.then(async (upstream): Promise<Detected> => {
    await spoken(upstream, signal)
    return { kind: 'tcp', upstream }
  })
  try {
    const found = await Promise.race([speaks, answers])
    if (found.kind === 'http') void dialling.then(discard, () => {})
    return found.kind === 'http' ? found : { ...found, upstream: await dialling }
  } catch (error) {
    void dialling.then(discard, () => {})
    throw error
  }
}

/** Nobody has written to it: it was only there in case. */
function discard(upstream: Duplex): void {
  upstream.on('error', () => {})
  upstream.destroy()
}

/**
 * Resolves once it is clear what a client speaks; one that leaves without a
 * word speaks TCP. The bytes are put back before it resolves, and the stream is
 * left paused; likewise when the signal fires.
 */
function firstBytes(client: Duplex, signal: AbortSignal): Promise<Detected> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let partial: NodeJS.Timeout | undefined
    const settle = (kind: Detected['kind'], ended = false): void => {
      clearTimeout(partial)
      client.off('data', onData).off('end', onEnd).off('close', onClose)
      signal.removeEventListener('abort', onAbort)
      const head = Buffer.concat(chunks)
      if (!ended) {
        client.pause()
        if (head.length > 0 && !client.destroyed) client.unshift(head)
      }
      resolve(ended && head.length > 0 ? { kind: 'tcp', head } : { kind })
    }
    const onData = (chunk: Buffer): void => {
      chunks.push(chunk)
      const bytes = Buffer.concat(chunks)
      const found = sniffProtocol(bytes.subarray(0, SNIFF_BYTES))
      if (found === 'http1' || found === 'http2') settle('http')
      else if (found === 'other' || bytes.length >= SNIFF_BYTES) settle('tcp')
      else partial ??= setTimeout(() => settle('tcp'), PARTIAL_MS)
    }
    const onEnd = (): void => settle('tcp', true)
    const onClose = (): void => settle('tcp')
    const onAbort = (): void => settle('tcp')
    if (client.readableEnded || client.destroyed || signal.aborted) return resolve({ kind: 'tcp' })
    client.on('data', onData).once('end', onEnd).once('close', onClose)
    signal.addEventListener('abort', onAbort, { once: true })
    client.resume()
  })
}

/** The other side has said something, or has gone; or the signal. Leaves the stream paused, with all that it said. */
function spoken(upstream: Duplex, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const settle = (first?: Buffer): void => {
      upstream.off('data', settle).off('end', onOver).off('close', onOver).off('error', onOver)
      signal.removeEventListener('abort', onOver)
      upstream.pause()
      if (first !== undefined) upstream.unshift(first)
      resolve()
    }
    const onOver = (): void => settle()
    if (upstream.readableEnded || upstream.destroyed || signal.aborted) return resolve()
    upstream.on('data', settle).once('end', onOver).once('close', onOver).once('error', onOver)
    signal.addEventListener('abort', onOver, { once: true })
    upstream.resume()
  })
}

function silence(ms: number, signal: AbortSignal): Promise<'silent'> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer)
      resolve('silent')
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end, { once: true })
  })
}
