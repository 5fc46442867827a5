import type { NetworkNamespace } from '../../linux/index.ts'
import { ZdsClient, ZdsError, type ZdsErrorCode, type ZdsRequest } from '../../zds/index.ts'
import { errorText, ProxyError } from '../errors.ts'
import type { WorkloadInfo } from '../proxy/local-workload.ts'

/** What a session does with the pods that the agent names; PodManager is one. */
export interface PodSink {
  readonly synced: boolean
  connected(): void
  add(uid: string, info: WorkloadInfo, namespace: NetworkNamespace): Promise<void>
  keep(uid: string): void
  remove(uid: string): void
  snapshotSent(): void
}

export interface AgentSessionOptions {
  /** INPOD_UDS. */
  readonly path: string
  readonly pods: PodSink
  readonly signal: AbortSignal
  readonly onConnected: () => void
  readonly onDisconnected: (reason: string, retryInMs: number) => void
  /** The agent has named all of its pods. */
  readonly onSnapshot?: () => void
  /** Calls back after so many milliseconds, unless cancelled. Default: real time. */
  readonly schedule?: (callback: () => void, ms: number) => () => void
}

/** First and longest pause between two attempts to reach the agent. */
const RETRY_MIN_MS = 20
const RETRY_MAX_MS = 15_000

/**
 * A start that takes longer is answered as failed, and goes on. Istio's agent
 * waits 5 s for an answer and takes a late one for that to its next request.
 */
const ANSWER_WITHIN_MS = 4_000

/** What the agent should not have sent: it is told so before the connection ends. */
const UNREADABLE: ReadonlySet<ZdsErrorCode> = new Set([
  'packet-too-large',
  'malformed-packet',
  'wrong-descriptors',
])

/**
 * Stays connected to the node agent (ZDS) until the signal fires. Requests are
 * answered one by one, in order. A lost connection leaves all pods as they are.
 * Throws ProxyError `zds-protocol` when the agent breaks the protocol: the two
 * sides then disagree about the pods, and only a fresh start mends that.
 */
export async function runAgentSession(options: AgentSessionOptions): Promise<void> {
  const schedule = options.schedule ?? realTime
  let pause = RETRY_MIN_MS
  // Not at the hello: an agent that takes connections only to drop them is no agent yet.
  const onRequest = (): void => {
    pause = RETRY_MIN_MS
  }
  while (!options.signal.aborted) {
    let reason = 'the agent closed the connection'
    try {
      await session(options, schedule, onRequest)
    } catch (error) {
      if (error instanceof ProxyError) throw error
      reason = errorText(error)
    }
    if (options.signal.aborted) return
    options.onDisconnected(reason, pause)
    await sleep(pause, schedule, options.signal)
    pause = Math.min(pause * 2, RETRY_MAX_MS)
  }
}

type Schedule = NonNullable<AgentSessionOptions['schedule']>

/** One connection, to its end. */
async function session(
  options: AgentSessionOptions,
  schedule: Schedule,
  onRequest: () => void,
): Promise<void> {
  const client = await ZdsClient.connect(options.path)
  const stop = (): void => client.close()
  options.signal.addEventListener('abort', stop, { once: true })
  try {
    client.hello()
    options.pods.connected()
    options.onConnected()
    await serve(client, options, schedule, onRequest)
  } finally {
    options.signal.removeEventListener('abort', stop)
    client.close()
  }
}

async function serve(
  client: ZdsClient,
  { pods, onSnapshot }: AgentSessionOptions,
  schedule: Schedule,
  onRequest: () => void,
): Promise<void> {
  for (;;) {
    const message = await next(client)
    if (message === 'unusable') continue
    if (message === undefined) return
    onRequest()
    const { request, netns } = message
    try {
      await inTime(handle(pods, request, netns), schedule)
    } catch (error) {
      if (error instanceof ProxyError && error.code === 'zds-protocol') {
        tryAck(client, `failure to process message : ${error.message}`)
        throw error
      }
      client.ack(`failure to start proxy : ${errorText(error)}`)
      continue
    }
    client.ack()
    if (request.kind === 'snapshot-sent') onSnapshot?.()
  }
}

/**
 * A packet that cannot be read is answered, then the connection is given up.
 * A pod without a name is refused alone: the others need not pay for it.
 */
async function next(client: ZdsClient): Promise<Awaited<ReturnType<ZdsClient['next']>> | 'unusable'> {
  try {
    return await client.next()
  } catch (error) {
    if (!(error instanceof ZdsError)) throw error
    if (error.code === 'workload-info-missing') {
      client.ack(`failure to process message : ${error.message}`)
      return 'unusable'
    }
    if (UNREADABLE.has(error.code)) tryAck(client, `failure to read message : ${error.message}`)
    throw error
  }
}

/** The answer must not hide why the connection ends. */
function tryAck(client: ZdsClient, error: string): void {
  try {
    client.ack(error)
  } catch {
    // The agent is gone; it needs no answer.
  }
}

/** Rejects when the work is not done in time. It goes on, and its own failure is kept by who does it. */
function inTime(work: Promise<void>, schedule: Schedule): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancel = schedule(
      () => reject(new Error(`not done within ${ANSWER_WITHIN_MS} ms; it goes on, ask again`)),
      ANSWER_WITHIN_MS,
    )
    work.then(resolve, reject).finally(cancel)
  })
}

async function handle(
  pods: PodSink,
  request: ZdsRequest,
  netns: NetworkNamespace | undefined,
): Promise<void> {
  switch (request.kind) {
    case 'add': {
      if (netns === undefined) throw violation(`pod ${request.uid} came without its network namespace`)
      return pods.add(request.uid, request.workloadInfo, netns)
    }
    case 'keep':
      if (pods.synced) throw violation('a pod to keep was named after the snapshot')
      return pods.keep(request.uid)
    case 'del':
      return pods.remove(request.uid)
    case 'snapshot-sent':
      if (pods.synced) throw violation('a second snapshot ended on one connection')
      return pods.snapshotSent()
  }
}

function violation(message: string): ProxyError {
  return new ProxyError('zds-protocol', `ZDS protocol violated by the agent: ${message}`)
}

function sleep(ms: number, schedule: Schedule, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      cancel()
      signal.removeEventListener('abort', finish)
      resolve()
    }
    const cancel = schedule(finish, ms)
    signal.addEventListener('abort', finish, { once: true })
  })
}

function realTime(callback: () => void, ms: number): () => void {
  const timer = setTimeout(callback, ms)
  return () => clearTimeout(timer)
}
