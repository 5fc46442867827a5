import { parseLogFilter } from '../../telemetry/index.ts'
import { loadControlPlane, xdsNode } from './control-plane.ts'
import { dnsConfig } from './dns.ts'
import { limits } from './limits.ts'
import { localMesh } from './local-mesh.ts'
import type { Config, KeepAliveConfig, PortsConfig, WorkloadName } from './model.ts'
import { checkNames } from './names.ts'
import { loadProxyConfig } from './proxy-config.ts'
import { workerThreads } from './threads.ts'
import { type Environment, type FileSystemPort, invalid, nodeFiles, Values } from './values.ts'

export { describeConfig } from './describe.ts'
export type * from './model.ts'
export { type Environment, type FileSystemPort, nodeFiles } from './values.ts'

/** HTTP/2's smallest and largest frame (RFC 9113 4.2) and its largest window (6.9.1). */
const MIN_FRAME_SIZE = 16_384
const MAX_FRAME_SIZE = 16_777_215
const MAX_WINDOW_SIZE = 2_147_483_647

const MAX_U16 = 65_535
const MAX_U32 = 4_294_967_295

/** Marks the proxy's packets for the redirection rules (wire/ztunnel 11.5). */
const IN_POD_PACKET_MARK = 1337

/**
 * Reads the node proxy's configuration. Nothing else reads the environment.
 *
 * @throws ProxyError `configuration`: `invalid env var NAME=VALUE (expected …)`.
 */
export function loadConfig(env: Environment, files: FileSystemPort = nodeFiles): Config {
  const values = new Values(env)
  refuseUnsupported(values)
  const proxyConfig = loadProxyConfig(values, files)
  const proxyMode = values.choice('PROXY_MODE', ['shared', 'dedicated'], 'shared')
  const xdsOnDemand = values.boolean('XDS_ON_DEMAND', false)
  const config = {
    proxyMode,
    proxyWorkload: proxyWorkload(values, proxyMode),
    ownWorkload: ownWorkload(values),
    proxyEnabled: values.boolean('ENABLE_PROXY', true),
    network: values.text('NETWORK', ''),
    nodeName: values.filled('NODE_NAME'),
    clusterId: values.filled('ISTIO_META_CLUSTER_ID') ?? values.filled('CLUSTER_ID') ?? 'Kubernetes',
    clusterDomain: values.filled('CLUSTER_DOMAIN') ?? 'cluster.local',
    trustDomain: values.filled('TRUST_DOMAIN') ?? 'cluster.local',
    ...loadControlPlane(values, files, proxyConfig),
    localMesh: localMesh(values, files),
    xdsOnDemand,
    secretTtlSeconds: Math.ceil(values.durationMs('SECRET_TTL', 24 * 3_600_000) / 1000),
    xdsNode: xdsNode(values, proxyConfig),
    ports: ports(values, proxyConfig),
    dns: dnsConfig(values, proxyConfig.metadata, xdsOnDemand),
    socks5Enabled: values.boolean('UNSTABLE_ENABLE_SOCKS5', false),
    ...sockets(values, proxyMode),
    ...tunnels(values),
    waypointEnforcement: values.choice('WAYPOINT_ENFORCEMENT', ['hairpin', 'off'], 'hairpin'),
    drainDeadlineMs: drainDeadlineMs(values),
    ...limits(values, files, proxyMode),
    numWorkerThreads: workerThreads(values, proxyConfig.concurrency),
    logFormat: values.choice('LOG_FORMAT', ['plain', 'json'], 'plain'),
    logFilter: logFilter(values),
    authzPolicyInfoLogging: values.boolean('AUTHZ_POLICY_INFO_LOGGING', false),
    istioVersion: proxyConfig.metadata['ISTIO_VERSION'],
  } satisfies Omit<Config, 'warnings'>
  noteIgnored(values)
  if (!config.proxyEnabled && config.dns === undefined) {
    throw invalid('ENABLE_PROXY', 'false', 'true: without the DNS proxy nothing would be left to run')
  }
  const slips = checkNames(env, values.names)
  return deepFreeze({ ...config, warnings: [...values.warnings, ...slips] })
}

/** What cannot be done, although the operator relies on it. */
function refuseUnsupported(values: Values): void {
  values.refused('FAKE_CA', 'there is no fake CA; ztunnel config-server contains a real one', ['false'])
  values.refused('CRL_PATH', 'revocation lists are not enforced yet')
  values.refused('COMPLIANCE_POLICY', 'key exchange cannot be restricted yet')
}

/** What is known and changes nothing. */
function noteIgnored(values: Values): void {
  values.ignored('TLS12_ENABLED', 'TLS 1.3 only', ['false'])
}

function proxyWorkload(values: Values, mode: Config['proxyMode']): WorkloadName | undefined {
  if (mode === 'shared') return undefined
  const value = values.text('PROXY_WORKLOAD_INFO', '')
  const [namespace, name, ...rest] = value.split('/')
  // Only the first two slashes separate.
  const serviceAccount = rest.join('/')
  if (!namespace || !name || !serviceAccount) {
    throw invalid(
      'PROXY_WORKLOAD_INFO',
      value,
      'namespace/name/service-account, because PROXY_MODE is dedicated',
    )
  }
  return { namespace, name, serviceAccount }
}

function ownWorkload(values: Values): WorkloadName | undefined {
  const name = values.filled('POD_NAME')
  const namespace = values.filled('POD_NAMESPACE')
  const serviceAccount = values.filled('SERVICE_ACCOUNT')
  if (name === undefined || namespace === undefined || serviceAccount === undefined) return undefined
  return { name, namespace, serviceAccount }
}

function ports(
  values: Values,
  proxyConfig: { proxyAdminPort: number | undefined; statsPort: number | undefined },
): PortsConfig {
  return {
    outbound: values.port('ZTUNNEL_OUTBOUND_PORT', 15001),
    inboundPlaintext: values.port('ZTUNNEL_INBOUND_PLAINTEXT_PORT', 15006),
    inboundHbone: values.port('ZTUNNEL_INBOUND_HBONE_PORT', 15008),
    admin: values.port('ZTUNNEL_ADMIN_PORT', proxyConfig.proxyAdminPort ?? 15000),
    stats: values.port('ZTUNNEL_STATS_PORT', proxyConfig.statsPort ?? 15020),
    readiness: values.port('ZTUNNEL_READINESS_PORT', 15021),
  }
}

function sockets(values: Values, mode: Config['proxyMode']) {
  const originalSource = values.optionalBoolean('ENABLE_ORIG_SRC')
  const mark = values.integer('PACKET_MARK', mode === 'shared' ? IN_POD_PACKET_MARK : 0, 0, MAX_U32)
  return {
    ipv6Enabled: values.boolean('IPV6_ENABLED', true),
    originalSource: originalSource === undefined ? 'auto' : originalSource ? 'required' : 'never',
    packetMark: mark === 0 ? undefined : mark,
    inpodUds: values.filled('INPOD_UDS') ?? '/var/run/ztunnel/ztunnel.sock',
    inpodPortReuse: values.boolean('INPOD_PORT_REUSE', true),
    ...keepAlive(values),
  } as const
}

/** TCP_USER_TIMEOUT is what the probes take to find a dead peer, so that unacknowledged data takes no longer. */
function keepAlive(values: Values): {
  keepAlive: KeepAliveConfig | undefined
  userTimeoutSeconds: number | undefined
} {
  const seconds = (name: string): number => Math.max(1, Math.round(values.durationMs(name, 180_000) / 1000))
  const settings = {
    timeSeconds: seconds('KEEPALIVE_TIME'),
    intervalSeconds: seconds('KEEPALIVE_INTERVAL'),
    retries: values.integer('KEEPALIVE_RETRIES', 9, 1, 127),
  }
  const userTimeout = settings.timeSeconds + settings.retries * settings.intervalSeconds
  return {
    keepAlive: values.boolean('KEEPALIVE_ENABLED', true) ? settings : undefined,
    userTimeoutSeconds: values.boolean('USER_TIMEOUT_ENABLED', false) ? userTimeout : undefined,
  }
}

function tunnels(values: Values) {
  return {
    poolMaxStreamsPerConnection: values.integer('POOL_MAX_STREAMS_PER_CONNECTION', 100, 1, MAX_U16),
    poolUnusedReleaseTimeoutMs: values.durationMs('POOL_UNUSED_RELEASE_TIMEOUT', 300_000),
    http2StreamWindowSize: values.integer('HTTP2_STREAM_WINDOW_SIZE', 4_194_304, 1, MAX_WINDOW_SIZE),
    http2ConnectionWindowSize: values.integer(
      'HTTP2_CONNECTION_WINDOW_SIZE',
      16_777_216,
      65_535,
      MAX_WINDOW_SIZE,
    ),
    http2FrameSize: values.integer('HTTP2_FRAME_SIZE', 1_048_576, MIN_FRAME_SIZE, MAX_FRAME_SIZE),
    responseBaggage: values.boolean('ENABLE_RESPONSE_BAGGAGE', true),
    localhostAppTunnel: values.boolean('LOCALHOST_APP_TUNNEL', true),
  }
}

/** Kubernetes kills after the grace period: the drain ends some seconds before (wire/ztunnel 2.4). */
function drainDeadlineMs(values: Values): number {
  const grace = values.optionalInteger('TERMINATION_GRACE_PERIOD_SECONDS', 0, MAX_U32)
  const fromGrace = grace === undefined ? 5 : Math.max(1, grace > 10 ? grace - 5 : grace - 1)
  return values.durationMs('CONNECTION_TERMINATION_DEADLINE', fromGrace * 1000)
}

function logFilter(values: Values): string {
  const filter = values.filled('RUST_LOG') ?? 'info'
  try {
    parseLogFilter(filter)
  } catch (error) {
    throw invalid('RUST_LOG', filter, 'a filter such as info or access=debug,info', { cause: error })
  }
  return filter
}

function deepFreeze<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const part of Object.values(value)) deepFreeze(part)
  }
  return value
}
