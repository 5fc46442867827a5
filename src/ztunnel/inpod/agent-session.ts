import type { NetworkNamespace } from '../../linux/index.ts'
import { ZdsClient, ZdsError, type ZdsErrorCode, type ZdsRequest } from '../../zds/index.ts'
import { errorText, ProxyError } from '../errors.ts'
import type { WorkloadInfo } from '../local-workload.ts'

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
}

/** First and longest pause between two attempts to reach the agent. */
const RETRY_MIN_MS = 20
const RETRY_MAX_MS = 15_000

/** What the agent should not have sent: it is told so before the connection ends. */
const UNREADABLE: ReadonlySet<ZdsErrorCode> = new Set([
  'packet-too-large',
  'malformed-packet',
  'wrong-descriptors',
  'workload-info-missing',
])

/**
 * Stays connected to the node agent (ZDS) until the signal fires. Requests are
 * answered one by one, in order. A lost connection leaves all pods as they are.
 * Throws ProxyError `zds-protocol` when the agent breaks the protocol: the two
 * sides then disagree about the pods, and only a fresh start mends that.
 */
export async function runAgentSession(options: AgentSessionOptions): Promise<void> {
  let pause = RETRY_MIN_MS
  while (!options.signal.aborted) {
    let reason = 'the agent closed the connection'
    try {
      const client = await ZdsClient.connect(options.path)
      const stop = (): void => client.close()
      options.signal.addEventListener('abort', stop, { once: true })
      try {
        client.hello()
        options.pods.connected()
        options.onConnected()
        pause = RETRY_MIN_MS
        await serve(client, options.pods)
      } finally {
        options.signal.removeEventListener('abort', stop)
        client.close()
      }
    } catch (error) {
      if (error instanceof ProxyError) throw error
      reason = errorText(error)
    }
    if (options.signal.aborted) return
    options.onDisconnected(reason, pause)
    await sleep(pause, options.signal)
    pause = Math.min(pause * 2, RETRY_MAX_MS)
  }
}

async function serve(client: ZdsClient, pods: PodSink): Promise<void> {
  for (;;) {
    const message = await next(client)
    if (message === undefined) return
    const { request, netns } = message
    try {
      await handle(pods, request, netns)
    } catch (error) {
      if (error instanceof ProxyError && error.code === 'zds-protocol') {
        client.ack(`failure to process message : ${error.message}`)
        throw error
      }
      client.ack(`failure to start proxy : ${errorText(error)}`)
      continue
    }
    client.ack()
  }
}

/** A packet that cannot be read is answered, then the connection is given up. */
async function next(client: ZdsClient): ReturnType<ZdsClient['next']> {
  try {
    return await client.next()
  } catch (error) {
    if (error instanceof ZdsError && UNREADABLE.has(error.code))
      client.ack(`failure to read message : ${error.message}`)
    throw error
  }
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

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', finish)
      resolve()
    }
    const timer = setTimeout(finish, ms)
    signal.addEventListener('abort', finish, { once: true })
  })
}
