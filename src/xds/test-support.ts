import type { MeshChange } from '../mesh/mesh-change.ts'
import type { AuthorizationPolicy, Service, Workload } from '../mesh/model.ts'
import { aPolicy, aPort, aService, aWorkload } from '../mesh/test-support.ts'

/** A captured pod `foo/<name>` on `node-a`. */
export function workload(name: string, fields: Partial<Workload> = {}): Workload {
  const preset = {
    namespace: 'foo',
    node: 'node-a',
    workloadType: 'POD',
    canonicalRevision: 'latest',
  } as const
  return aWorkload({ name, ...preset, ...fields })
}

/** A canonical service `foo/<name>.foo.svc.cluster.local` with HTTP on port 80. */
export function service(name: string, fields: Partial<Service> = {}): Service {
  const ports = [{ ...aPort(80, 8080), appProtocol: 'HTTP11' as const }]
  return aService({ name, namespace: 'foo', ports, canonical: true, ...fields })
}

/** A policy `foo/<name>` for the namespace that allows nothing. */
export function policy(name: string, fields: Partial<AuthorizationPolicy> = {}): AuthorizationPolicy {
  return aPolicy({ name, namespace: 'foo', scope: 'NAMESPACE', ...fields })
}

/** Remembers the batches that it was given. */
export class RecordingMesh {
  readonly batches: (readonly MeshChange[])[] = []

  apply(changes: Iterable<MeshChange>): void {
    this.batches.push([...changes])
  }
}

/** Bytes written as text in hexadecimal; spaces are for the reader. */
export function hex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'))
}
