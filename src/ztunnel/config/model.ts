import type { RootSource } from '../../identity/index.ts'
import type { LogFormat } from '../../telemetry/index.ts'
import type { LocalMeshSource } from '../../xds/index.ts'
import type { DnsAddress } from '../dns/index.ts'

/** A token for the control plane: a file that is read for each request, or the token itself. */
export type TokenSource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'literal'; readonly token: string }

/** How one server of the control plane is reached and trusted. */
export interface ControlPlaneConfig {
  /** `https://host:port`. */
  readonly address: string
  readonly roots: RootSource
  /** ALT_XDS_HOSTNAME, ALT_CA_HOSTNAME: a second name that its certificate may carry. */
  readonly alternativeHostname: string | undefined
  /** XDS_HEADER_*, CA_HEADER_*: request metadata, names in lower case. */
  readonly headers: Readonly<Record<string, string>>
}

/** Which pod; all three parts are known together or not at all. */
export interface WorkloadName {
  readonly name: string
  readonly namespace: string
  readonly serviceAccount: string
}

/**
 * Everything that the node proxy can be told, as `loadConfig` found it:
 * complete, checked and frozen. Variables are Istio's (wire/ztunnel 2.4)
 * except for those that are said to be ours.
 */
export interface Config {
  /** PROXY_MODE. `shared`: the pods that the node agent hands over; `dedicated`: one workload. Default shared. */
  readonly proxyMode: 'shared' | 'dedicated'
  /** PROXY_WORKLOAD_INFO, `namespace/name/service-account`: required when dedicated. */
  readonly proxyWorkload: WorkloadName | undefined
  /** POD_NAME, POD_NAMESPACE, SERVICE_ACCOUNT: the proxy's own identity, when all are set. */
  readonly ownWorkload: WorkloadName | undefined
  /** ENABLE_PROXY: false leaves only the DNS proxy. Default true. */
  readonly proxyEnabled: boolean

  /** NETWORK of this node. Default empty. */
  readonly network: string
  /** NODE_NAME: whose workloads are local. Undefined: those of all nodes. */
  readonly nodeName: string | undefined
  /** ISTIO_META_CLUSTER_ID, then CLUSTER_ID. Default Kubernetes. */
  readonly clusterId: string
  /** CLUSTER_DOMAIN. Default cluster.local. */
  readonly clusterDomain: string
  /** TRUST_DOMAIN of the proxy's own identity. Default cluster.local. */
  readonly trustDomain: string

  /** XDS_ADDRESS; undefined when it is set to nothing: no control plane is asked. */
  readonly xds: ControlPlaneConfig | undefined
  /** XDS_ON_DEMAND: workloads and services are fetched when traffic asks for them. Default false: all are subscribed to. */
  readonly xdsOnDemand: boolean
  /** LOCAL_XDS_PATH, LOCAL_XDS: a mesh out of a file or of the variable, beside or in place of the xDS server's. */
  readonly localMesh: LocalMeshSource | undefined
  /** CA_ADDRESS. */
  readonly ca: ControlPlaneConfig
  /** SECRET_TTL: lifetime to ask of the CA. Default 24 h. */
  readonly secretTtlSeconds: number
  /** AUTH_TOKEN. Undefined: no authorization is sent. */
  readonly authToken: TokenSource | undefined
  /** What the proxy tells the xDS server about itself (wire/ztunnel 10.2). */
  readonly xdsNode: { readonly id: string; readonly metadata: Readonly<Record<string, JsonValue>> }

  readonly ports: PortsConfig
  /** ISTIO_META_DNS_CAPTURE: undefined when it is off. Default on. */
  readonly dns: DnsConfig | undefined
  /** UNSTABLE_ENABLE_SOCKS5: SOCKS5 for applications that bring their destination along. Default false. */
  readonly socks5Enabled: boolean
  /** IPV6_ENABLED: listen on `::`, dual stack, rather than on 0.0.0.0. Default true. */
  readonly ipv6Enabled: boolean
  /** ENABLE_ORIG_SRC true, false or unset. */
  readonly originalSource: 'required' | 'never' | 'auto'
  /** PACKET_MARK: SO_MARK of the proxy's sockets; undefined sets none. Default 1337 when shared, none when dedicated. */
  readonly packetMark: number | undefined
  /** INPOD_UDS: the node agent's socket. Default /var/run/ztunnel/ztunnel.sock. */
  readonly inpodUds: string
  /** INPOD_PORT_REUSE: SO_REUSEPORT on in-pod listeners. Default true. */
  readonly inpodPortReuse: boolean
  /** KEEPALIVE_*: TCP keepalive; undefined when KEEPALIVE_ENABLED is false. Default 180 s, 180 s, 9. */
  readonly keepAlive: KeepAliveConfig | undefined
  /** USER_TIMEOUT_ENABLED: TCP_USER_TIMEOUT, the time that keepalive takes to find a dead peer; undefined (the default) sets none. */
  readonly userTimeoutSeconds: number | undefined

  /** POOL_MAX_STREAMS_PER_CONNECTION. Default 100. */
  readonly poolMaxStreamsPerConnection: number
  /** POOL_UNUSED_RELEASE_TIMEOUT. Default 5 min. */
  readonly poolUnusedReleaseTimeoutMs: number
  /** HTTP2_STREAM_WINDOW_SIZE, bytes. Default 4 MiB. */
  readonly http2StreamWindowSize: number
  /** HTTP2_CONNECTION_WINDOW_SIZE, bytes. Default 16 MiB. */
  readonly http2ConnectionWindowSize: number
  /** HTTP2_FRAME_SIZE, bytes. Default 1 MiB. */
  readonly http2FrameSize: number

  /** ENABLE_RESPONSE_BAGGAGE. Default true. */
  readonly responseBaggage: boolean
  /** LOCALHOST_APP_TUNNEL. Default true. */
  readonly localhostAppTunnel: boolean
  /** WAYPOINT_ENFORCEMENT, ours: whether direct requests are sent through a workload's waypoint. Default hairpin. */
  readonly waypointEnforcement: 'hairpin' | 'off'
  /** CONNECTION_TERMINATION_DEADLINE, or out of TERMINATION_GRACE_PERIOD_SECONDS. Default 5 s. */
  readonly drainDeadlineMs: number

  /** ZTUNNEL_WORKER_THREADS, `concurrency`, then out of the CPU limits: how many threads carry connections. 1: the main thread. */
  readonly numWorkerThreads: number
  /** ZTUNNEL_MAX_CONNECTIONS_PER_WORKLOAD, ours. Default: a quarter of the descriptors (three when dedicated), at most 20,000. */
  readonly maxConnectionsPerWorkload: number
  /** ZTUNNEL_METRICS_MAX_LABEL_SETS, ours: what exceeds it is counted under `other`. Default 2,000. */
  readonly metricsMaxLabelSets: number

  /** LOG_FORMAT. Default plain. */
  readonly logFormat: LogFormat
  /** RUST_LOG. Default info. */
  readonly logFilter: string
  /** AUTHZ_POLICY_INFO_LOGGING: verdicts at info rather than debug level. Default false. */
  readonly authzPolicyInfoLogging: boolean
  /** ISTIO_META_ISTIO_VERSION: the tag of istio_build. */
  readonly istioVersion: string | undefined

  /** What was set without effect, one sentence each; logged at start. */
  readonly warnings: readonly string[]
}

/** ZTUNNEL_*_PORT, ours, for tests and for several proxies on one machine; 0 takes any free port. */
export interface PortsConfig {
  /** ZTUNNEL_OUTBOUND_PORT. Default 15001. */
  readonly outbound: number
  /** ZTUNNEL_INBOUND_PLAINTEXT_PORT. Default 15006. */
  readonly inboundPlaintext: number
  /** ZTUNNEL_INBOUND_HBONE_PORT. Default 15008. */
  readonly inboundHbone: number
  /** ZTUNNEL_ADMIN_PORT, then proxyAdminPort of PROXY_CONFIG. Default 15000. */
  readonly admin: number
  /** ZTUNNEL_STATS_PORT, then statsPort of PROXY_CONFIG. Default 15020. */
  readonly stats: number
  /** ZTUNNEL_READINESS_PORT. Default 15021. */
  readonly readiness: number
}

/** The DNS proxy of each workload. */
export interface DnsConfig {
  /** ISTIO_META_DNS_PROXY_ADDR. Default localhost:15053. */
  readonly listen: DnsAddress
  /** PREFERED_SERVICE_NAMESPACE: decides between services of one name. */
  readonly preferredNamespace: string | undefined
}

export interface KeepAliveConfig {
  readonly timeSeconds: number
  readonly intervalSeconds: number
  readonly retries: number
}

export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue }
