import type { Duplex } from 'node:stream'
import type { Cancellation } from '../hbone/index.ts'
import { SNIFF_BYTES, sniffProtocol } from './http/index.ts'

/** What a connection of an undeclared protocol turned out to be. */
export type Detected =
  | { readonly kind: 'http' }
  /** `upstream` is what was dialled meanwhile, for who does not speak first. */
  | { readonly kind: 'tcp'; readonly upstream?: Duplex | undefined }

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
  const stop = new AbortController()
  const onAbort = (): void => stop.abort()
  options.signal.addEventListener('abort', onAbort)
  if (options.signal.aborted) onAbort()
  const speaks = firstBytes(client, stop.signal)
  try {
    const early = await Promise.race([speaks, silence(options.silenceMs ?? SILENCE_MS, stop.signal)])
    const found = early === 'silent' ? await raced(speaks, options.dial, stop.signal) : { kind: early }
    if (options.signal.aborted) throw options.signal.reason
    return found
  } finally {
    stop.abort()
    options.signal.removeEventListener('abort', onAbort)
    // From then on the stream is another's to read.
    await speaks
  }
}

async function raced(
  speaks: Promise<Detected['kind']>,
  dial: DetectOptions['dial'],
  signal: AbortSignal,
): Promise<Detected> {
  const dialling = dial()
  if (dialling === undefined) return { kind: await speaks }
  let upstream: Duplex | undefined
  const answers = dialling.then(async (stream) => {
    upstream = stream
    if (stream.readableLength === 0) await grown(stream, 0, signal)
    return 'tcp' as const
  })
  try {
    const kind = await Promise.race([speaks, answers])
    if (kind === 'tcp') return { kind, upstream: upstream ?? (await dialling) }
    void dialling.then(discard, () => {})
    return { kind }
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
 * word speaks TCP. Only looks: a stream that was read to its end could not be
 * given its bytes back.
 */
async function firstBytes(client: Duplex, signal: AbortSignal): Promise<Detected['kind']> {
  let seen = 0
  let partial: NodeJS.Timeout | undefined
  const late = new AbortController()
  const either = AbortSignal.any([signal, late.signal])
  try {
    for (;;) {
      await grown(client, seen, either)
      if (either.aborted || isOver(client)) return 'tcp'
      const bytes: Buffer | null = client.read()
      if (bytes === null) continue
      client.unshift(bytes)
      seen = bytes.length
      const found = sniffProtocol(bytes.subarray(0, SNIFF_BYTES))
      if (found !== 'need-more') return found === 'other' ? 'tcp' : 'http'
      if (seen >= SNIFF_BYTES) return 'tcp'
      partial ??= setTimeout(() => late.abort(), PARTIAL_MS)
    }
  } finally {
    clearTimeout(partial)
  }
}

/**
 * More than so many bytes to read, none any more, or the signal. One listener
 * until then: Node tells each new one of what is there already, which would go
 * round without a turn of the event loop.
 */
function grown(stream: Duplex, seen: number, signal: AbortSignal): Promise<void> {
  const enough = (): boolean => seen === 0 || stream.readableLength > seen || isOver(stream) || signal.aborted
  return new Promise((resolve) => {
    const check = (): void => {
      if (!enough()) return
      for (const event of EVENTS) stream.off(event, check)
      signal.removeEventListener('abort', check)
      resolve()
    }
    if (isOver(stream) || signal.aborted) return resolve()
    for (const event of EVENTS) stream.on(event, check)
    signal.addEventListener('abort', check)
  })
}

function isOver(stream: Duplex): boolean {
  return stream.destroyed || stream.readableEnded
}

const EVENTS = ['readable', 'end', 'close', 'error'] as const

function silence(ms: number, signal: AbortSignal): Promise<'silent'> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve('silent'), ms)
    const end = (): void => {
      clearTimeout(timer)
      resolve('silent')
    }
    signal.addEventListener('abort', end, { once: true })
  })
}
