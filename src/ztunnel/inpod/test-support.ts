import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fromBinary } from '@bufbuild/protobuf'
import type { Test } from 'tap'
import { WorkloadResponseSchema, ZdsHelloSchema } from '../../gen/istio/workload/zds/zds_pb.ts'
import { type NetworkNamespace, SeqpacketServer, type SeqpacketSocket } from '../../linux/index.ts'
import { encodeRequest } from '../../zds/codec.ts'
import { CaptureListener } from '../proxy/capture-listener.ts'
import { createSocketFactory } from '../proxy/socket-factory.ts'
import { type AgentSessionOptions, runAgentSession } from './agent-session.ts'
import { PodManager, type PodProxy } from './pod-manager.ts'

/** The port that the pods of these tests are captured on. */
export const PORT = 15008

/** Timers that a test fires itself. */
export class ManualTimers {
  readonly #pending = new Set<{ readonly ms: number; readonly callback: () => void }>()

  schedule = (callback: () => void, ms: number): (() => void) => {
    const timer = { ms, callback }
    this.#pending.add(timer)
    return () => void this.#pending.delete(timer)
  }

  get waiting(): readonly number[] {
    return [...this.#pending].map(({ ms }) => ms)
  }

  /** Fires all timers of this length that wait now. */
  fire(ms: number): void {
    for (const timer of [...this.#pending]) {
      if (timer.ms !== ms) continue
      this.#pending.delete(timer)
      timer.callback()
    }
  }
}

/** A CNI agent that does what the test says, over a real SOCK_SEQPACKET socket. */
export class ScriptedAgent {
  readonly path = join(mkdtempSync(join(tmpdir(), 'agent-session-')), 'zds.sock')
  readonly #server = SeqpacketServer.listen(this.path)
  #socket: SeqpacketSocket | undefined

  /** Waits for the proxy's next connection; returns the version that it says hello with. */
  async accept(): Promise<number> {
    this.#socket = await this.#server.accept()
    const hello = await this.#socket?.receive(1024)
    return fromBinary(ZdsHelloSchema, hello?.data ?? new Uint8Array()).version
  }

  /** Sends a request and returns the text of the answer, empty for success. */
  async ask(request: Parameters<typeof encodeRequest>[0], netns?: NetworkNamespace): Promise<string> {
    this.send(encodeRequest(request), netns === undefined ? [] : [netns.fd])
    return this.answer()
  }

  add(uid: string, netns: NetworkNamespace): Promise<string> {
    const workloadInfo = { name: uid, namespace: 'ns', serviceAccount: 'sa' }
    return this.ask({ kind: 'add', uid, workloadInfo }, netns)
  }

  send(packet: Uint8Array, fds: readonly number[] = []): void {
    this.#socket?.send(packet, fds)
  }

  /** The next answer; its packet is never longer than Istio's agent reads. */
  async answer(): Promise<string> {
    const packet = await this.#socket?.receive(4096)
    if (packet === undefined) return '(connection closed)'
    if (packet.data.length > 1024) throw new Error(`an answer of ${packet.data.length} bytes`)
    const { payload } = fromBinary(WorkloadResponseSchema, packet.data)
    return payload.case === 'ack' ? payload.value.error : `(${payload.case})`
  }

  hangUp(): void {
    this.#socket?.close()
  }

  close(): void {
    this.#socket?.close()
    this.#server.close()
  }
}

/** A proxy process's life with its agent: real sockets, real namespaces, timers of the test. */
export function proxyWithAgent(
  t: Test,
  hooks: { readonly onRun?: (uid: string) => Promise<void> | undefined } = {},
) {
  const agent = new ScriptedAgent()
  const timers = new ManualTimers()
  const events: string[] = []
  const pods = new PodManager<PodProxy>({
    start: (uid, _info, namespace) => {
      const listener = listenIn(namespace)
      return {
        run: async () => {
          await listener.run()
          await hooks.onRun?.(uid)
        },
        drain: async () => listener.close(),
        close: () => listener.close(),
      }
    },
    onChange: () => {},
    onStarted: (uid) => void events.push(`started ${uid}`),
    onStopped: (uid) => void events.push(`stopped ${uid}`),
    onRetryFailed: (uid) => void events.push(`retry failed ${uid}`),
    setTimer: (callback, ms) => ({ clear: timers.schedule(callback, ms) }),
  })
  const ending = new AbortController()
  const options: AgentSessionOptions = {
    path: agent.path,
    pods,
    signal: ending.signal,
    onConnected: () => void events.push('connected'),
    onDisconnected: (_reason, retryInMs) => void events.push(`retry in ${retryInMs}`),
    schedule: timers.schedule,
  }
  const ended = runAgentSession(options)
  ended.catch(() => undefined)
  t.teardown(async () => {
    ending.abort()
    agent.close()
    await ended.catch(() => undefined)
    pods.close()
  })
  const states = (): Record<string, string> =>
    Object.fromEntries(
      [...pods.states()].map(([uid, pod]) => [uid, pod.state === 'Up' ? 'Up' : `Pending: ${pod.error}`]),
    )
  return { agent, timers, events, pods, ended, states }
}

/** Echoes, in a pod's namespace. Throws when the port is taken. */
function listenIn(namespace: NetworkNamespace): CaptureListener {
  return CaptureListener.create({
    sockets: createSocketFactory({ namespace, mark: undefined, reusePort: false }),
    address: '0.0.0.0',
    port: PORT,
    transparent: 'never',
    liveness: undefined,
    onConnection: ({ socket }) => {
      socket.on('error', () => {})
      socket.pipe(socket)
    },
    onError: () => {},
  })
}
