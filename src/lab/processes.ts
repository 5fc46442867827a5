import { join } from 'node:path'
import type { AccessJournal } from './access-journal.ts'
import { appProgram, ztunnelProgram } from './app.ts'
import { Component, type ComponentOptions } from './component.ts'
import { untilHealthy } from './http-probe.ts'
import { type LabNetwork, NETNS_FOLDER } from './network.ts'
import { type LabState, nodeTokenFile, podTokenFile } from './state.ts'
import { type LabPod, OUTSIDE_PORTS, type Topology } from './topology.ts'

/** What every process of a lab is started with. */
export interface LabSetting {
  readonly topology: Topology
  readonly network: LabNetwork
  readonly state: LabState
  readonly journal: AccessJournal
  /** Lifetime of workload certificates, as `ztunnel config-server --svid-ttl` takes it. */
  readonly svidTtl: string
  /** Added to the environment of every proxy, e.g. `{ RUST_LOG: 'debug' }`. */
  readonly proxyEnv: Readonly<Record<string, string>>
  /** Of the config server: send dry-run policies. */
  readonly dryRunPolicies: boolean
}

/** A process and what to wait for before it counts as started. */
export interface Started {
  readonly component: Component
  readonly ready: Promise<void>
}

/** Where a component is asked for its health. */
export interface HealthPlace {
  readonly port: number
  /** Default `/healthz/ready`. */
  readonly path?: string
  /** Default 127.0.0.1, of its own namespace. */
  readonly host?: string
}

export const CONFIG_SERVER = 'config-server'
/** Of xDS and CA, istiod's. */
const XDS_PORT = 15012
/** Health and status of the config server; istiod's is 15014. */
const STATUS_PORT = 15014
const READINESS_PORT = 15021
/** SO_MARK of a sidecar's sockets, by which the redirection rules know them (Istio's 0x539). */
export const PACKET_MARK = 1337

export function startConfigServer(setting: LabSetting): Started {
  const { state, topology } = setting
  const { address } = topology.controlPlane
  const argv = ['config-server', '--config', state.config, '--certs', state.certs]
  const listen = ['--listen', `${address}:${XDS_PORT}`, '--status', `${address}:${STATUS_PORT}`]
  const component = startZtunnel(setting, CONFIG_SERVER, topology.controlPlane.name, [
    ...argv,
    ...listen,
    ...['--ip', address, '--svid-ttl', setting.svidTtl],
    ...(setting.dryRunPolicies ? ['--dry-run-policies'] : []),
  ])
  return {
    component,
    ready: untilAccepting(component, setting, topology.controlPlane.name, {
      port: STATUS_PORT,
      host: address,
    }),
  }
}

/** The proxy of a node, shared by its ambient pods. Ready once it serves all of them. */
export function startNodeProxy(setting: LabSetting, node: string): Started {
  const { state } = setting
  const env = {
    ...proxyEnvironment(setting, nodeTokenFile(state, node)),
    PROXY_MODE: 'shared',
    NODE_NAME: node,
    INPOD_UDS: zdsSocket(state, node),
  }
  const component = startZtunnel(setting, nodeProxyName(node), node, ['proxy'], env)
  return { component, ready: untilAccepting(component, setting, node, { port: READINESS_PORT }) }
}

/** The agent of a node: it redirects the node's ambient pods and hands them to the proxy. */
export function startAgent(setting: LabSetting, node: string): Started {
  const { state } = setting
  const folders = ['--config', state.config, '--netns-dir', NETNS_FOLDER]
  const argv = ['agent', '--node', node, ...folders, '--zds-socket', zdsSocket(state, node)]
  const component = startZtunnel(setting, agentName(node), node, argv)
  // The node's proxy is ready only when this one has told it of every pod.
  return { component, ready: Promise.resolve() }
}

/** The proxy inside a pod of its own: what Istio calls dedicated mode. */
export function startSidecar(setting: LabSetting, pod: LabPod): Started {
  const env = {
    ...proxyEnvironment(setting, podTokenFile(setting.state, pod)),
    PROXY_MODE: 'dedicated',
    PROXY_WORKLOAD_INFO: `${pod.namespace}/${pod.name}/${pod.serviceAccount}`,
    NODE_NAME: pod.node,
    PACKET_MARK: String(PACKET_MARK),
  }
  const component = startZtunnel(setting, sidecarName(pod), pod.netns, ['proxy'], env)
  return { component, ready: untilAccepting(component, setting, pod.netns, { port: READINESS_PORT }) }
}

/** A waypoint, in its pod. Ready once routes and policies are there. */
export function startWaypoint(setting: LabSetting, pod: LabPod): Started {
  const env = {
    ...proxyEnvironment(setting, podTokenFile(setting.state, pod)),
    POD_NAME: pod.name,
    POD_NAMESPACE: pod.namespace,
    SERVICE_ACCOUNT: pod.serviceAccount,
    GATEWAY_NAME: pod.gateway?.split('/')[1] ?? '',
    INSTANCE_IP: pod.address,
    NODE_NAME: pod.node,
  }
  const component = startZtunnel(setting, waypointName(pod), pod.netns, ['waypoint'], env)
  return { component, ready: untilAccepting(component, setting, pod.netns, { port: READINESS_PORT }) }
}

/** The applications: a server in every pod that has ports, and one outside of the mesh. */
export function startApplications(setting: LabSetting): readonly Started[] {
  const servers = setting.topology.pods
    .filter(({ ports }) => ports.http !== undefined || ports.tcp !== undefined)
    .map((pod) => startApplication(setting, pod.netns, { name: pod.id, ...pod.ports }))
  const { outside } = setting.topology
  return [...servers, startApplication(setting, outside.name, { name: outside.name, ...OUTSIDE_PORTS })]
}

export function nodeProxyName(node: string): string {
  return `ztunnel@${node}`
}

export function sidecarName(pod: LabPod): string {
  return `sidecar@${pod.id}`
}

export function waypointName({ id }: Pick<LabPod, 'id'>): string {
  return `waypoint@${id}`
}

export function agentName(node: string): string {
  return `agent@${node}`
}

/** Waits until a component says of itself that it is ready. Rejects as `Component.within`. */
export async function untilAccepting(
  component: Component,
  setting: LabSetting,
  netns: string,
  { port, path = '/healthz/ready', host = '127.0.0.1' }: HealthPlace,
): Promise<void> {
  const abort = new AbortController()
  let state = ''
  const healthy = untilHealthy({
    namespace: setting.network.namespace(netns),
    port,
    path,
    host,
    signal: abort.signal,
    onUnhealthy: (answer) => {
      state = answer
    },
  })
  try {
    await component.within(healthy, 'become ready', undefined, () => state)
  } finally {
    abort.abort()
  }
}

function startApplication(
  setting: LabSetting,
  netns: string,
  options: { readonly name: string; readonly http?: number; readonly tcp?: number },
): Started {
  const component = start(setting, {
    name: `app@${options.name}`,
    netns,
    argv: [appProgram('server'), JSON.stringify(options)],
  })
  return { component, ready: component.waitForLine((line) => line === 'listening', 'listen') }
}

function startZtunnel(
  setting: LabSetting,
  name: string,
  netns: string,
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Component {
  return start(setting, {
    name,
    netns,
    argv: [ztunnelProgram(), ...argv],
    env: { LOG_FORMAT: 'json', ...env },
    onLine: (line) => setting.journal.read(name, line),
  })
}

function start(
  setting: LabSetting,
  options: Omit<ComponentOptions, 'namespace' | 'logFile'> & { readonly netns: string },
): Component {
  const { netns, ...rest } = options
  return Component.start({
    ...rest,
    namespace: setting.network.namespace(netns),
    logFile: join(setting.state.logs, `${options.name.replaceAll('/', '.')}.log`),
  })
}

/** Settings of every proxy, by the names that Istio gives them. */
function proxyEnvironment(
  { state, topology, svidTtl, proxyEnv }: LabSetting,
  tokenFile: string,
): Record<string, string> {
  const controlPlane = `https://${topology.controlPlane.address}:${XDS_PORT}`
  const root = join(state.certs, 'root-cert.pem')
  return {
    XDS_ADDRESS: controlPlane,
    CA_ADDRESS: controlPlane,
    XDS_ROOT_CA: root,
    CA_ROOT_CA: root,
    AUTH_TOKEN: tokenFile,
    // The lifetime is the proxy's to ask for; the config server's is for who asks for none.
    SECRET_TTL: svidTtl,
    ...proxyEnv,
  }
}

function zdsSocket(state: LabState, node: string): string {
  return join(state.sockets, `${node}.sock`)
}
