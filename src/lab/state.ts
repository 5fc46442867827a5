import { cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadOrCreateCa, TokenIssuer } from '../identity/index.ts'
import type { LabPod, Topology } from './topology.ts'

/** The files of a running lab. */
export interface LabState {
  /** The manifests in force; edit them and the mesh follows. */
  readonly config: string
  /** One file for each component. */
  readonly logs: string
  /** The CA, `cacerts` layout, and the key that signs tokens. */
  readonly certs: string
  readonly tokens: string
  /** ZDS sockets, one for each node. */
  readonly sockets: string
  /** Names and addresses of the lab's services, in the form of /etc/hosts. */
  readonly hosts: string
}

export interface LabFolders {
  /** For what a user may look at and edit. */
  readonly visible: string
  /** For keys and tokens; best on a tmpfs. */
  readonly secret: string
}

/** Lays out the files: a copy of the manifests, a new CA, a token for every proxy. */
export async function prepareState(
  folders: LabFolders,
  manifests: string,
  topology: Topology,
): Promise<LabState> {
  const state: LabState = {
    config: join(folders.visible, 'config'),
    logs: join(folders.visible, 'logs'),
    hosts: join(folders.visible, 'hosts'),
    certs: join(folders.secret, 'certs'),
    tokens: join(folders.secret, 'tokens'),
    sockets: join(folders.secret, 'zds'),
  }
  for (const folder of [state.logs, state.certs, state.tokens, state.sockets]) {
    await mkdir(folder, { recursive: true, mode: 0o700 })
  }
  await cp(manifests, state.config, { recursive: true })
  await writeFile(state.hosts, hostsFile(topology))
  await loadOrCreateCa(state.certs)
  await issueTokens(state, topology)
  return state
}

/** Where a node's proxy finds its token. */
export function nodeTokenFile(state: LabState, node: string): string {
  return join(state.tokens, node)
}

/** Where a sidecar or a waypoint finds its token. */
export function podTokenFile(state: LabState, pod: LabPod): string {
  return join(state.tokens, pod.netns)
}

async function issueTokens(state: LabState, { nodes, pods }: Topology): Promise<void> {
  const issuer = await TokenIssuer.loadOrCreate(join(state.certs, 'token-key.pem'))
  const ttlSeconds = TOKEN_TTL_SECONDS
  for (const { name } of nodes) {
    const token = await issuer.issueNodeToken({ node: name, ttlSeconds })
    await writeFile(nodeTokenFile(state, name), token, { mode: 0o600 })
  }
  for (const pod of pods.filter(({ mode, gateway }) => mode === 'sidecar' || gateway !== undefined)) {
    const { namespace, serviceAccount, name, node } = pod
    const token = await issuer.issueWorkloadToken({ namespace, serviceAccount, pod: name, node, ttlSeconds })
    await writeFile(podTokenFile(state, pod), token, { mode: 0o600 })
  }
}

/** The lab has no DNS server: each service has its names in a file, as far as `svc.cluster.local`. */
function hostsFile({ services, pods, outside }: Topology): string {
  const lines = ['127.0.0.1 localhost', `${outside.address} outside`]
  for (const { name, namespace, hostname, addresses } of services) {
    for (const address of addresses)
      lines.push(`${address} ${name}.${namespace} ${name}.${namespace}.svc ${hostname}`)
  }
  for (const { addresses, name, namespace } of pods) {
    for (const address of addresses) lines.push(`${address} ${name}.${namespace}.pod`)
  }
  return `${lines.join('\n')}\n`
}

/** Longer than anyone leaves a lab running: nobody puts fresh ones in their place, and without one nothing is renewed. */
const TOKEN_TTL_SECONDS = 90 * 24 * 3600
