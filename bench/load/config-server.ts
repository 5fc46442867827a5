// A config server to measure, told what to do by its parent. From a folder it
// is the real one; from objects it is everything behind the reading of files.
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { startConfigServer } from '../../src/config-server/config-server.ts'
import { openGrpcListener } from '../../src/config-server/grpc-listener.ts'
import { MeshPublisher } from '../../src/config-server/mesh-publisher.ts'
import {
  bearerToken,
  CertificateAuthority,
  loadOrCreateCa,
  silentLog,
  TokenIssuer,
} from '../../src/identity/index.ts'
import type { LabPod } from '../../src/lab/topology.ts'
import { DeltaServer, ResourceCache } from '../../src/xds/index.ts'
import { type MeshSize, meshOf, podYaml } from './mesh.ts'

export interface ServerSettings extends MeshSize {
  /** Undefined: from objects in memory. */
  readonly configDir?: string
  readonly certsDir: string
  /** Address to listen on. Default 127.0.0.1. */
  readonly host?: string
  /** Pods that the mesh has besides those that are made up; from objects only. */
  readonly pods?: readonly LabPod[]
}

/** What it tells its parent, in the order of its doing. */
export type ServerReport =
  | {
      readonly kind: 'ready'
      readonly port: number
      readonly token: string
      readonly rootsPem: string
      readonly loadMs: number
      readonly usage: Usage
    }
  /** The change is about to be made. */
  | { readonly kind: 'changing'; readonly at: number }
  | { readonly kind: 'usage'; readonly usage: Usage }

export interface Usage {
  readonly rssMb: number
  readonly heapMb: number
  /** Of buffers. */
  readonly buffersMb: number
  readonly cpuMs: number
  /** Longest time without a turn of the event loop since the last report. */
  readonly stallMs: number
}

const MIB = 1024 ** 2
const settings = JSON.parse(process.argv[2] ?? '{}') as ServerSettings
const delay = monitorEventLoopDelay({ resolution: 5 })
delay.enable()
const { change, port, issuer, loadMs } = await (settings.configDir === undefined
  ? fromObjects()
  : fromFolder(settings.configDir))
const token = await issuer.issueNodeToken({ node: 'node-0', ttlSeconds: 3600 })
const rootsPem = readFileSync(join(settings.certsDir, 'root-cert.pem'), 'utf8')
report({ kind: 'ready', port, token, rootsPem, loadMs, usage: usage() })
process.on('message', (message) => {
  if (message === 'usage') report({ kind: 'usage', usage: usage() })
  else void change(String(message))
})

interface Served {
  readonly port: number
  readonly issuer: TokenIssuer
  readonly loadMs: number
  /** Moves the first workload to a node. */
  change(node: string): Promise<void>
}

async function fromObjects(): Promise<Served> {
  const { certsDir, host = '127.0.0.1' } = settings
  const ca = new CertificateAuthority(await loadOrCreateCa(certsDir, { trustDomain: 'cluster.local' }))
  const issuer = await TokenIssuer.loadOrCreate(join(certsDir, 'token-key.pem'), {
    trustDomain: 'cluster.local',
  })
  const cache = new ResourceCache()
  const publisher = new MeshPublisher({ cache, guard: { replace: () => {} }, log: silentLog })
  const mesh = meshOf(settings, 'node-0', settings.pods)
  delay.reset()
  const began = performance.now()
  publisher.publish(mesh)
  await publisher.idle()
  const loadMs = performance.now() - began
  const authenticate = async (headers: Headers) => issuer.verify(bearerToken(headers))
  const listener = await openGrpcListener({
    ca,
    names: { dnsNames: [], ipAddresses: [host] },
    routes: new DeltaServer({ cache, authenticate }).routes,
    authenticate,
    listen: { host, port: 0 },
    log: silentLog,
  })
  const change = async (node: string) => {
    // All objects are new ones, as from a source that has read everything again.
    const next = meshOf(settings, node, settings.pods)
    delay.reset()
    report({ kind: 'changing', at: Date.now() })
    publisher.publish(next)
  }
  return { port: listener.address.port, issuer, loadMs, change }
}

async function fromFolder(configDir: string): Promise<Served> {
  const began = performance.now()
  const server = await startConfigServer({
    configDir,
    certsDir: settings.certsDir,
    listen: { host: '127.0.0.1', port: 0 },
    ipAddresses: ['127.0.0.1'],
  })
  await server.ready
  const loadMs = performance.now() - began
  const change = async (node: string) => {
    delay.reset()
    report({ kind: 'changing', at: Date.now() })
    await writeFile(join(configDir, 'first.yaml'), podYaml(0, settings.services, node))
  }
  return { port: server.address.port, issuer: server.issuer, loadMs, change }
}

function usage(): Usage {
  const stallMs = delay.max / 1e6
  const { user, system } = process.cpuUsage()
  // With --expose-gc: what is held, not what has not been collected yet.
  globalThis.gc?.()
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage()
  delay.reset()
  return {
    rssMb: rss / MIB,
    heapMb: heapUsed / MIB,
    buffersMb: arrayBuffers / MIB,
    cpuMs: (user + system) / 1000,
    stallMs,
  }
}

function report(message: ServerReport): void {
  process.send?.(message)
}
