import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { CaClient, controlPlaneTransport } from '../identity/index.ts'
import { MeshStore } from '../mesh/index.ts'
import {
  AddressHandler,
  AdsClient,
  type AdsClientOptions,
  AuthorizationHandler,
  MAX_MESSAGE_BYTES,
} from '../xds/index.ts'
import { type ConfigServer, type ConfigServerOptions, startConfigServer } from './config-server.ts'

/** A mesh folder and a certs folder, and config servers on them. */
export interface TestMesh {
  readonly certsDir: string
  write(file: string, text: string): Promise<void>
  start(options?: Partial<ConfigServerOptions>): Promise<ConfigServer>
}

export function testMesh(t: Test, files: Readonly<Record<string, string>>): TestMesh {
  const root = t.testdir({ mesh: files, certs: {} })
  const certsDir = join(root, 'certs')
  return {
    certsDir,
    write: (file, text) => writeFile(join(root, 'mesh', file), text),
    async start(options = {}) {
      const listen = { host: '127.0.0.1', port: 0 }
      const server = await startConfigServer({ configDir: join(root, 'mesh'), certsDir, listen, ...options })
      t.teardown(() => server.close())
      return server
    },
  }
}

/** A node proxy's client and its mesh. */
export interface TestClient {
  readonly client: AdsClient
  readonly store: MeshStore
  /** Reasons of terminations, in order. */
  readonly terminations: string[]
  /** Bytes of resources received, by response. */
  readonly messages: number[]
}

export function testClient(
  t: Test,
  mesh: Pick<TestMesh, 'certsDir'>,
  port: number,
  token: () => Promise<string> | string,
  options: Partial<AdsClientOptions> = {},
): TestClient {
  const store = new MeshStore()
  const transport = controlPlaneTransport({
    address: `https://127.0.0.1:${port}`,
    rootCertFile: join(mesh.certsDir, 'root-cert.pem'),
    readMaxBytes: MAX_MESSAGE_BYTES,
  })
  const terminations: string[] = []
  const messages: number[] = []
  const client = new AdsClient({
    transport,
    credentials: { token, clusterId: 'Kubernetes' },
    node: {
      id: 'ztunnel~127.0.0.1~z.istio-system~istio-system.svc.cluster.local',
      metadata: { NODE_NAME: 'node-a' },
    },
    types: [new AddressHandler(store), new AuthorizationHandler(store)],
    metrics: {
      connectionTerminated: (reason) => terminations.push(reason),
      message: (_type, bytes) => messages.push(bytes),
    },
    ...options,
  })
  t.teardown(async () => {
    await client.stop()
    transport.close()
  })
  return { client, store, terminations, messages }
}

/** A client of the CA, for the time of a test; `impersonate` as a node's proxy does. */
export function caClient(
  t: Test,
  mesh: TestMesh,
  server: ConfigServer,
  token: () => Promise<string>,
  impersonate = true,
): CaClient {
  const client = new CaClient({
    address: `https://localhost:${server.address.port}`,
    rootCertFile: join(mesh.certsDir, 'root-cert.pem'),
    token,
    impersonate,
    ttlSeconds: 600,
  })
  t.teardown(() => client.close())
  return client
}

/** Waits for a condition, looking at it often; fails after ten seconds with what it waited for. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`still waiting for: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** YAML of namespace `foo`, ambient. */
export const AMBIENT_NAMESPACE =
  '---\napiVersion: v1\nkind: Namespace\nmetadata: {name: foo, labels: {istio.io/dataplane-mode: ambient}}\n'

/** YAML of pod `foo/<name>` with service account `<name>`. */
export function pod(name: string, fields: { readonly node?: string; readonly ip?: string } = {}): string {
  const { node = 'node-a', ip = '10.0.0.1' } = fields
  return `---
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: foo}
spec: {nodeName: ${node}, serviceAccountName: ${name}}
status: {podIP: ${ip}}
`
}
