import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CertificateAuthority, exportPrivateKeyPem, loadCa } from '../src/identity/index.ts'
import { runCommand } from '../src/lab/command.ts'
import type { LabSetting } from '../src/lab/processes.ts'
import type { LabNode, LabPod } from '../src/lab/topology.ts'
import type { NetworkNamespace } from '../src/linux/index.ts'

/** Where a pair of proxies sits: out beside the client, in beside the server. */
export type Role = 'in' | 'out'

/** PEM files of a workload's identity. */
export interface Credentials {
  readonly chain: string
  readonly key: string
  readonly roots: string
  /** Chain and key in one file, as haproxy wants it. */
  readonly both: string
}

/** Ports of the application. */
export const HTTP_PORT = 18_080
export const TCP_PORT = 19_090
/** What the application listens on, in an order that others use as well. */
export const APP_PORTS = [HTTP_PORT, TCP_PORT] as const
/** SO_MARK of a proxy's sockets, which the redirection lets through (Istio's 0x539). */
export const PACKET_MARK = 1337

export interface SeatOptions {
  readonly setting: LabSetting
  readonly topology: 'loopback' | 'namespaces'
  readonly pods: Readonly<Record<Role, LabPod>>
  readonly nodes: Readonly<Record<Role, LabNode>>
}

/** A client and a server with the way between them, for one peer. */
export class Seat {
  readonly setting: LabSetting
  readonly topology: 'loopback' | 'namespaces'
  readonly pods: Readonly<Record<Role, LabPod>>
  readonly nodes: Readonly<Record<Role, LabNode>>

  constructor({ setting, topology, pods, nodes }: SeatOptions) {
    this.setting = setting
    this.topology = topology
    this.pods = pods
    this.nodes = nodes
  }

  /** The peer's name: each has a namespace of the mesh. */
  get name(): string {
    return this.pods.out.namespace
  }

  /** Of the server. */
  get address(): string {
    return this.pods.in.address
  }

  /** Of the client's or the server's pod. */
  pod(role: Role): NetworkNamespace {
    const { netns } = this.topology === 'loopback' ? this.pods.out : this.pods[role]
    return this.setting.network.namespace(netns)
  }

  /** Of the node's proxy; on loopback, the pod's. */
  node(role: Role): NetworkNamespace {
    if (this.topology === 'loopback') return this.pod(role)
    return this.setting.network.namespace(this.nodes[role].name)
  }

  /** A file for this seat's own use. */
  file(name: string): string {
    return join(this.setting.state.certs, `${this.name}-${name}`)
  }

  logFile(role: Role): string {
    return join(this.setting.state.logs, `${this.name}-${role}.log`)
  }

  /** Has what the client sends to a port of the server go to a local port, unless it bears the mark. */
  async redirect(port: number, to: number): Promise<void> {
    const match = [
      '-d',
      `${this.address}/32`,
      '-p',
      'tcp',
      '--dport',
      String(port),
      '-m',
      'mark',
      '!',
      '--mark',
      String(PACKET_MARK),
    ]
    const rule = ['-w', '-t', 'nat', '-A', 'OUTPUT', ...match, '-j', 'REDIRECT', '--to-ports', String(to)]
    await runCommand('iptables', rule, { namespace: this.pod('out') })
  }

  /** A certificate of the mesh's CA for the client's or the server's identity. */
  async credentials(role: Role): Promise<Credentials> {
    const { namespace, serviceAccount } = this.pods[role]
    const ca = new CertificateAuthority(await loadCa(this.setting.state.certs))
    const svid = await ca.issueSvid(
      { trustDomain: 'cluster.local', namespace, serviceAccount },
      CERTIFICATE_SECONDS,
    )
    const files = {
      chain: this.file(`${role}.chain.pem`),
      key: this.file(`${role}.key.pem`),
      roots: this.file(`${role}.roots.pem`),
      both: this.file(`${role}.both.pem`),
    }
    const [chain, key] = [svid.certificateChain.join(''), exportPrivateKeyPem(svid)]
    await writeFile(files.chain, chain)
    await writeFile(files.key, key, { mode: 0o600 })
    await writeFile(files.roots, svid.roots.join(''))
    await writeFile(files.both, `${chain}\n${key}`, { mode: 0o600 })
    return files
  }
}

/** Longer than any run. */
const CERTIFICATE_SECONDS = 24 * 3600
