import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { LabPod } from '../../src/lab/topology.ts'
import { aPort, aService, aWorkload } from '../../src/mesh/test-support.ts'
import type { SourceSnapshot } from '../../src/xds/index.ts'

export interface MeshSize {
  readonly services: number
  readonly workloads: number
}

/** Objects in one file: a folder that people keep has several of them in each. */
const PER_FILE = 1_000
const NAMESPACE = 'default'

/** A mesh of new objects, and of `pods`; the first workload's node is `node`. */
export function meshOf(
  { services, workloads }: MeshSize,
  node = 'node-0',
  pods: readonly LabPod[] = [],
): SourceSnapshot {
  return {
    services: Array.from({ length: services }, (_, i) =>
      aService({
        name: `s${i}`,
        namespace: NAMESPACE,
        addresses: [{ network: '', address: address(172, i) }],
      }),
    ),
    workloads: [
      ...pods.map(({ name, namespace, serviceAccount, node, addresses }) =>
        aWorkload({ name, namespace, serviceAccount, node, addresses }),
      ),
      ...Array.from({ length: workloads }, (_, i) =>
        aWorkload({
          name: `w${i}`,
          namespace: NAMESPACE,
          serviceAccount: `sa${i % 500}`,
          node: i === 0 ? node : `node-${i % 1000}`,
          addresses: [address(10, i)],
          services: new Map([
            [`${NAMESPACE}/s${i % services}.${NAMESPACE}.svc.cluster.local` as const, [aPort(80, 8080)]],
          ]),
        }),
      ),
    ],
    policies: [],
  }
}

/** The same mesh as a folder of YAML. Its first workload is alone in `first.yaml`. */
export async function writeMesh(folder: string, { services, workloads }: MeshSize): Promise<void> {
  await writeFile(join(folder, 'first.yaml'), podYaml(0, services, 'node-0'))
  await write(folder, 'pods', 1, workloads, (i) => podYaml(i, services, `node-${i % 1000}`))
  await write(folder, 'services', 0, services, serviceYaml)
  const namespace = `metadata: {name: ${NAMESPACE}, labels: {istio.io/dataplane-mode: ambient}}`
  await writeFile(join(folder, 'namespace.yaml'), `apiVersion: v1\nkind: Namespace\n${namespace}\n`)
}

export function podYaml(i: number, services: number, node: string): string {
  return `---
apiVersion: v1
kind: Pod
metadata: {name: w${i}, namespace: ${NAMESPACE}, labels: {app: s${i % services}}}
spec: {nodeName: ${node}, serviceAccountName: sa${i % 500}}
status: {podIP: ${address(10, i)}}
`
}

function serviceYaml(i: number): string {
  return `---
apiVersion: v1
kind: Service
metadata: {name: s${i}, namespace: ${NAMESPACE}}
spec: {clusterIP: ${address(172, i)}, selector: {app: s${i}}, ports: [{name: http, port: 80, targetPort: 8080}]}
`
}

async function write(
  folder: string,
  what: string,
  from: number,
  to: number,
  yaml: (i: number) => string,
): Promise<void> {
  for (let start = from; start < to; start += PER_FILE) {
    const numbers = Array.from({ length: Math.min(PER_FILE, to - start) }, (_, i) => start + i)
    await writeFile(join(folder, `${what}-${start}.yaml`), numbers.map(yaml).join(''))
  }
}

function address(first: number, index: number): string {
  return `${first}.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`
}
