import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { NetworkNamespace } from '../linux/index.ts'
import { ZdsClient } from '../zds/index.ts'
import type { PodState } from './enrolment.ts'
import type { NodeAgent } from './node-agent.ts'
import type { AgentLogger } from './pod-source.ts'

/** A folder of YAML, for tests. */
export interface TestFolder {
  readonly directory: string
  readonly zdsSocket: string
  /** Writes a pod of node `node-a`; `labels` are those of dataplane-mode and the like. */
  pod(name: string, options?: { labels?: string; annotations?: string; account?: string }): void
  remove(name: string): void
}

/** Makes the folder with one namespace, `ns`, that is not ambient itself. */
export function testFolder(): TestFolder {
  const root = mkdtempSync(join(tmpdir(), 'agent-'))
  const directory = join(root, 'config')
  mkdirSync(directory)
  writeFileSync(join(directory, 'ns.yaml'), 'apiVersion: v1\nkind: Namespace\nmetadata: { name: ns }\n')
  return {
    directory,
    zdsSocket: join(root, 'run', 'zds.sock'),
    pod(name, { labels = 'istio.io/dataplane-mode: ambient', annotations = '', account = 'sa' } = {}) {
      const text = `apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: ns, labels: { ${labels} }, annotations: { ${annotations} } }
spec: { nodeName: node-a, serviceAccountName: ${account}, containers: [{ name: app }] }
status: { podIP: 10.0.0.9, phase: Running }
`
      writeFileSync(join(directory, `${name}.yaml`), text)
    },
    remove: (name) => rmSync(join(directory, `${name}.yaml`)),
  }
}

/** What a proxy says to a pod, or to the end of the snapshot (an empty uid). */
type Answer = (uid: string) => string | Promise<string>

/** A proxy's end of ZDS that takes every pod, and remembers what it holds. */
export class TestProxy {
  readonly #client: ZdsClient
  readonly pods = new Map<string, { account: string; netns: NetworkNamespace }>()
  readonly log: string[] = []
  readonly ended: Promise<void>
  #changed: (() => void)[] = []

  private constructor(client: ZdsClient, answer: Answer) {
    this.#client = client
    this.ended = this.#serve(answer)
  }

  static async connect(path: string, answer: Answer = () => ''): Promise<TestProxy> {
    const client = await ZdsClient.connect(path)
    client.hello()
    return new TestProxy(client, answer)
  }

  /** Resolves when the condition holds after some request. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#changed.push(resolve))
  }

  close(): void {
    this.#client.close()
  }

  async #serve(answer: Answer): Promise<void> {
    for (;;) {
      const received = await this.#client.next()
      if (received === undefined) return
      const { request, netns } = received
      const uid = request.kind === 'snapshot-sent' ? '' : request.uid
      const error = await answer(uid)
      if (request.kind === 'add' && netns !== undefined && error === '') {
        this.pods.set(uid, { account: request.workloadInfo.serviceAccount, netns })
      } else netns?.close()
      if (request.kind === 'del') this.pods.delete(uid)
      this.log.push(`${request.kind} ${uid}`.trim())
      this.#client.ack(error)
      for (const changed of this.#changed.splice(0)) changed()
    }
  }
}

/** Waits, with a bound, for a pod to reach a state (or to be gone). */
export async function untilState(agent: NodeAgent, uid: string, state: PodState | undefined): Promise<void> {
  const deadline = performance.now() + 10_000
  const current = () => agent.status().find((pod) => pod.uid === uid)
  while (current()?.state !== state) {
    if (performance.now() > deadline) {
      throw new Error(`${uid} is ${JSON.stringify(current())}, not ${state ?? 'gone'}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** A logger that remembers. */
export function recordingLogger(): AgentLogger & { readonly lines: string[] } {
  const lines: string[] = []
  const write = (message: string, fields?: object) =>
    void lines.push(fields === undefined ? message : `${message} ${JSON.stringify(fields)}`)
  return { lines, info: write, warn: write, error: write }
}
