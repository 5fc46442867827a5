import {
  type Config,
  type Environment,
  type FileSystemPort,
  loadConfig,
  nodeFiles,
} from '../ztunnel/config/config.ts'
import { configurationError, Values } from '../ztunnel/config/values.ts'

/** Which Gateway a waypoint is. */
export interface GatewayName {
  readonly namespace: string
  readonly name: string
  /** Policies of the root namespace may be for a whole class. */
  readonly className: string
}

/** What a waypoint is told: the settings of a node proxy, as far as they mean something to it, and its own. */
export interface WaypointConfig {
  /** As Istio's ztunnel reads it, for a proxy of one workload. */
  readonly base: Config
  /** POD_NAME, POD_NAMESPACE, SERVICE_ACCOUNT. */
  readonly workload: { readonly name: string; readonly namespace: string; readonly serviceAccount: string }
  /** GATEWAY_NAME, by default the service account, which Istio names after the Gateway; GATEWAY_CLASS, default `istio-waypoint`. */
  readonly gateway: GatewayName
  /** XFCC_INCLUDE_CLIENT_IDENTITY: tell applications who the client is. Default false, as in Istio. */
  readonly xfcc: boolean
}

/**
 * Reads a waypoint's settings out of the environment.
 *
 * @throws ProxyError `configuration`.
 */
export function loadWaypointConfig(env: Environment, files: FileSystemPort = nodeFiles): WaypointConfig {
  const values = new Values(env)
  const workload = {
    name: required(values, 'POD_NAME', 'the name of its pod'),
    namespace: required(values, 'POD_NAMESPACE', 'the namespace of its pod'),
    serviceAccount: required(values, 'SERVICE_ACCOUNT', 'the service account that it has a certificate for'),
  }
  const { namespace, name, serviceAccount } = workload
  const config = loadConfig(
    {
      // There is no DNS to capture where nothing is captured.
      ISTIO_META_DNS_CAPTURE: 'false',
      ...env,
      PROXY_MODE: 'dedicated',
      PROXY_WORKLOAD_INFO: `${namespace}/${name}/${serviceAccount}`,
    },
    files,
  )
  return Object.freeze({
    base: { ...config, xdsNode: { ...config.xdsNode, id: config.xdsNode.id.replace(/^[^~]*/, 'waypoint') } },
    workload,
    gateway: {
      namespace,
      name: values.filled('GATEWAY_NAME') ?? serviceAccount,
      className: values.filled('GATEWAY_CLASS') ?? 'istio-waypoint',
    },
    xfcc: values.boolean('XFCC_INCLUDE_CLIENT_IDENTITY', false),
  })
}

function required(values: Values, name: string, what: string): string {
  const value = values.filled(name)
  if (value !== undefined) return value
  throw configurationError(`env var ${name} is not set: a waypoint must be told ${what}`)
}
