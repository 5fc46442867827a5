import { X509Certificate } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rename, symlink, writeFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import type { Test } from 'tap'
import {
  type CaMaterial,
  CertificateAuthority,
  createInMemoryCa,
  exportPrivateKeyPem,
  loadCa,
  type SpiffeId,
} from '../../../src/identity/index.ts'
import type { AccessRecord } from '../../../src/lab/access-record.ts'
import { ztunnelProgram } from '../../../src/lab/app.ts'
import { runCommand } from '../../../src/lab/command.ts'
import { type LabOptions, type MeshLab, startLab } from '../../../src/lab/mesh-lab.ts'
import { namespaceOf } from '../../../src/lab/topology.ts'
import type { NetworkNamespace } from '../../../src/linux/index.ts'
import { requireEnvoy } from '../../../src/sidecar/envoy-program.ts'
import { type Json, sdsResources, type TlsFiles } from '../../../src/sidecar/index.ts'
import { until } from '../../support/until.ts'
import { EnvoyProcess } from './envoy-process.ts'
import { TestApp } from './sockets.ts'

/** Addresses of `mesh/mesh.yaml`. */
export const ADDRESS = {
  'app/client': '10.244.1.10',
  'app/server': '10.244.2.10',
  'envoy/client': '10.244.3.10',
  'envoy/server': '10.244.4.10',
} as const

export interface WatchedCredentials {
  readonly tls: TlsFiles
  /** New ones, valid for so many seconds. */
  readonly replace: (seconds: number) => Promise<void>
}

/** A lab of two node proxies, with room for an Envoy at either end. */
export class InteropLab {
  readonly mesh: MeshLab
  readonly #test: Test
  readonly #folder: string

  constructor(test: Test, mesh: MeshLab, folder: string) {
    this.#test = test
    this.mesh = mesh
    this.#folder = folder
  }

  namespace(pod: string): NetworkNamespace {
    return this.mesh.network.namespace(namespaceOf(this.mesh.topology, pod))
  }

  /** Address of a pod, or of the host `outside`, of the family asked for. */
  address(pod: string, family: 4 | 6 = 4): string {
    const { outside, pods } = this.mesh.topology
    const own = pods.find(({ id }) => id === pod)?.addresses ?? []
    const addresses = pod === outside.name ? [outside.address, outside.ipv6] : own
    const address = addresses.find((candidate) => isIP(candidate) === family)
    if (address === undefined) throw new Error(`${pod} has no IPv${family} address`)
    return address
  }

  /** What `ztunnel sidecar bootstrap` prints for a pod, from the lab's own YAML and with a new certificate. */
  async bootstrap(id: string, format: 'json' | 'yaml' = 'json'): Promise<string> {
    const pod = this.mesh.topology.pods.find((candidate) => candidate.id === id)
    const certs = await mkdtemp(join(this.#folder, 'pod-'))
    const { chain = '', key = '', roots } = await this.credentials(pod)
    await rename(chain, join(certs, 'cert-chain.pem'))
    await rename(key, join(certs, 'key.pem'))
    await rename(roots, join(certs, 'root-cert.pem'))
    const flags = ['--config', this.mesh.state.config, '--certs', certs, '--format', format]
    const argv = [ztunnelProgram(), 'sidecar', 'bootstrap', id, ...flags, '--packet-mark', PACKET_MARK]
    return runCommand(process.execPath, argv)
  }

  /** Has Envoy itself check a configuration; rejects with what it says. */
  async validate(text: string, format: 'json' | 'yaml'): Promise<void> {
    const file = join(this.#folder, `validate-${Math.random().toString(36).slice(2)}.${format}`)
    await writeFile(file, text)
    await runCommand(requireEnvoy(), ['--mode', 'validate', '-c', file])
  }

  /** Has everything that comes to a pod but HBONE go to 15006, as istio-init does for a sidecar. */
  async redirectInbound(pod: string, family: 4 | 6 = 4): Promise<void> {
    const match = ['-p', 'tcp', '!', '--dport', '15008', '-j', 'REDIRECT', '--to-ports', '15006']
    const rule = ['-w', '-t', 'nat', '-A', 'PREROUTING', ...match]
    await runCommand(family === 4 ? 'iptables' : 'ip6tables', rule, { namespace: this.namespace(pod) })
  }

  /** The access log's record that fits, when it is there. */
  async record(fits: (record: AccessRecord) => boolean, what: string): Promise<AccessRecord> {
    const find = () => this.mesh.proxyLogs().find(fits)
    await until(() => find() !== undefined, `a line of the access log: ${what}`)
    return find() as AccessRecord
  }

  /** An application in a pod, until the end of the test. */
  app(pod: string, port: number, t: Test = this.#test, family: 4 | 6 = 4): TestApp {
    const app = new TestApp(this.namespace(pod), this.address(pod, family), port)
    t.teardown(() => app[Symbol.dispose]())
    return app
  }

  /** An Envoy in a pod, until the end of the test. */
  async envoy(pod: string, config: Json, argv: readonly string[] = []): Promise<EnvoyProcess> {
    const namespace = this.namespace(pod)
    const envoy = await EnvoyProcess.start({ namespace, config, folder: this.#folder, argv })
    this.#test.teardown(() => envoy.stop())
    return envoy
  }

  /** A certificate of the lab's own CA, as files. */
  async credentials(id: Partial<SpiffeId> = {}, seconds = CERTIFICATE_SECONDS): Promise<TlsFiles> {
    return this.#write(await loadCa(this.mesh.state.certs), id, seconds)
  }

  /**
   * The same, watched by Envoy: `replace` swaps certificate and key for new
   * ones at once, as Kubernetes does it, by a link to a folder.
   */
  async watchedCredentials(id: Partial<SpiffeId>, seconds: number): Promise<WatchedCredentials> {
    const folder = await mkdtemp(join(this.#folder, 'watched-'))
    const link = join(folder, 'current')
    const replace = async (lifetime: number): Promise<void> => {
      const { chain = '', key = '' } = await this.credentials(id, lifetime)
      const next = await mkdtemp(join(folder, 'version-'))
      await rename(chain, join(next, 'cert-chain.pem'))
      await rename(key, join(next, 'key.pem'))
      await symlink(next, `${link}.next`)
      await rename(`${link}.next`, link)
    }
    await replace(seconds)
    const { roots } = await this.credentials(id)
    const files = { chain: join(link, 'cert-chain.pem'), key: join(link, 'key.pem'), roots }
    const sds = join(folder, 'sds.json')
    await writeFile(sds, JSON.stringify(sdsResources(files, folder)))
    return { tls: { ...files, sds }, replace }
  }

  /** The same names under a root that nobody trusts, `ownRoots`; the lab's roots are believed. */
  async rogueCredentials(id: Partial<SpiffeId> = {}): Promise<TlsFiles & { readonly ownRoots: string }> {
    const { roots } = await this.credentials()
    const rogue = await this.#write(await createInMemoryCa(), id, CERTIFICATE_SECONDS)
    return { ...rogue, roots, ownRoots: rogue.roots }
  }

  /** A certificate that is valid no more. */
  async expiredCredentials(id: Partial<SpiffeId> = {}): Promise<TlsFiles> {
    const tls = await this.credentials(id, 1)
    const { chain = '' } = tls
    const end = new X509Certificate(await readFile(chain)).validToDate.getTime()
    await until(() => Date.now() > end, 'the certificate expires')
    return tls
  }

  /** How many connections the proxy of a node has open. */
  async openConnections(node: 'node-a' | 'node-b'): Promise<number> {
    return JSON.parse((await this.mesh.admin(node, '/connections')).body).length
  }

  async #write(
    material: CaMaterial,
    id: Partial<SpiffeId>,
    seconds: number,
  ): Promise<Required<Omit<TlsFiles, 'sds'>>> {
    const full = { trustDomain: 'cluster.local', namespace: 'envoy', serviceAccount: 'client', ...id }
    const svid = await new CertificateAuthority(material).issueSvid(full, seconds)
    const base = join(this.#folder, Math.random().toString(36).slice(2))
    const files = { chain: `${base}.chain.pem`, key: `${base}.key`, roots: `${base}.roots.pem` }
    await writeFile(files.chain, svid.certificateChain.join(''))
    await writeFile(files.key, exportPrivateKeyPem(svid), { mode: 0o600 })
    await writeFile(files.roots, svid.roots.join(''))
    return files
  }
}

/** The mesh of {@link ADDRESS} with IPv6 addresses beside the others. */
export const DUAL_STACK: LabOptions = { manifests: new URL('./mesh-dual-stack', import.meta.url).pathname }

/** The mesh with a seat for every other kind of Envoy. */
export const SEATS: LabOptions = { manifests: new URL('./mesh-seats', import.meta.url).pathname }

/** Starts the lab; it ends with the test. */
export async function startInteropLab(t: Test, options: LabOptions = {}): Promise<InteropLab> {
  const manifests = new URL('./mesh', import.meta.url).pathname
  // The waypoints' seats are for Envoys.
  const mesh = await startLab({ manifests, waypoints: false, ...options })
  t.teardown(() => mesh.close())
  const folder = join(mesh.state.certs, 'envoy')
  await mkdir(folder, { mode: 0o700 })
  return new InteropLab(t, mesh, folder)
}

/** Of redirection: what bears it is let through. */
const PACKET_MARK = '1337'
const CERTIFICATE_SECONDS = 3600
