import type { MeshStore, Workload } from '../../mesh/index.ts'
import { ProxyError } from '../errors.ts'

/** Which pod a proxy serves, as the node agent or PROXY_WORKLOAD_INFO names it. */
export interface WorkloadInfo {
  readonly name: string
  readonly namespace: string
  readonly serviceAccount: string
}

/** How long a connection waits for the control plane to deliver its own workload. */
const WORKLOAD_WAIT_MS = 5_000

/**
 * The workload that a listener belongs to. Found by name, never by source
 * address: an address says who was there yesterday.
 */
export interface LocalWorkload {
  readonly info: WorkloadInfo
  /** Waits up to 5 s for xDS to deliver it; rejects with ProxyError `unknown-local-workload`. */
  get(): Promise<Workload>
  /** What is known now. */
  peek(): Workload | undefined
}

/** `ask` is called when it is waited for: with on-demand xDS nobody sends it unasked. */
export function createLocalWorkload(
  mesh: MeshStore,
  info: WorkloadInfo,
  ask: () => void = () => {},
): LocalWorkload {
  const peek = (): Workload | undefined => mesh.localWorkload(info.name, info.namespace, info.serviceAccount)
  return {
    info,
    peek,
    async get() {
      const known = peek()
      if (known !== undefined) return known
      ask()
      return awaitWorkload(mesh, info, peek)
    },
  }
}

function awaitWorkload(
  mesh: MeshStore,
  info: WorkloadInfo,
  peek: () => Workload | undefined,
): Promise<Workload> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      unsubscribe()
      const who = `${info.serviceAccount}.${info.namespace} (${info.name})`
      reject(
        new ProxyError(
          'unknown-local-workload',
          `failed to fetch information about local workload: ${who}; ` +
            'the control plane has not sent it: check that the pod is in its source and names this service account',
        ),
      )
    }, WORKLOAD_WAIT_MS)
    const unsubscribe = mesh.subscribe(() => {
      const workload = peek()
      if (workload === undefined) return
      clearTimeout(timer)
      unsubscribe()
      resolve(workload)
    })
  })
}
