import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { ConfigServer } from '../../src/config-server/index.ts'
import { AMBIENT_NAMESPACE, pod, type TestMesh, testMesh } from '../../src/config-server/test-support.ts'
import { ForeignZtunnel } from './foreign-ztunnel.ts'

/** A config server, and foreign node proxies that connect to it. */
export interface MeshForForeigners {
  readonly mesh: TestMesh
  readonly server: ConfigServer
  /** Of the mesh's CA, PEM. */
  readonly rootsPem: string
  /** With a fresh token of node-a, unless it is said which or none (undefined). */
  ztunnel(options?: { readonly token?: string | undefined }): Promise<ForeignZtunnel>
  /** Another server process's place: same folders, another port. */
  restart(): Promise<void>
}

/** Two captured pods `foo/a` (node-a) and `foo/b` (node-b), service `foo/a` before the first, policy `foo/p`. */
export const FILES = {
  'namespace.yaml': AMBIENT_NAMESPACE,
  'a.yaml': pod('a').replace('namespace: foo}', 'namespace: foo, labels: {app: a}}'),
  'b.yaml': pod('b', { node: 'node-b', ip: '10.0.0.2' }),
  's.yaml': `---
apiVersion: v1
kind: Service
metadata: {name: a, namespace: foo}
spec: {clusterIP: 10.96.0.1, selector: {app: a}, ports: [{port: 80, targetPort: 8080}]}
`,
  'p.yaml': policy('p'),
}

/** YAML of a policy of namespace `foo` that allows nothing. */
export function policy(name: string): string {
  return `---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: ${name}, namespace: foo}\n`
}

export async function meshForForeigners(
  t: Test,
  files: Readonly<Record<string, string>> = FILES,
): Promise<MeshForForeigners> {
  const mesh = testMesh(t, files)
  let server = await mesh.start()
  const rootsPem = readFileSync(join(mesh.certsDir, 'root-cert.pem'), 'utf8')
  return {
    mesh,
    rootsPem,
    get server() {
      return server
    },
    async ztunnel(options) {
      const fresh = () => server.issuer.issueNodeToken({ node: 'node-a', ttlSeconds: 600 })
      const token = options === undefined ? await fresh() : options.token
      const credentials = token === undefined ? {} : { token }
      return new ForeignZtunnel(t, { port: server.address.port, rootsPem, ...credentials })
    },
    async restart() {
      await server.close()
      server = await mesh.start()
    },
  }
}
