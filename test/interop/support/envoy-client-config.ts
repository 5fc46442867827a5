import {
  bootstrap,
  type Json,
  type OriginateOptions,
  originateCluster,
  originateListener,
  socketAddress,
  type TlsFiles,
  tcpProxy,
  tunnelledCluster,
} from '../../../src/sidecar/index.ts'

/** Who Envoy claims to be on a connection, and how it keeps its connections. */
export type Origin = Omit<OriginateOptions, 'name' | 'trustDomain'>

/** A port on the pod's loopback: what goes in comes out at `target`. */
export interface Exit {
  readonly port: number
  /** `ip:port`, the CONNECT's authority; 15008 of that IP is dialled. */
  readonly target: string
  /** `ip:15008` to dial instead. */
  readonly waypoint?: string
  /** Key of {@link ClientConfig.origins}. */
  readonly origin: string
}

export interface ClientConfig {
  readonly origins: Readonly<Record<string, Origin>>
  readonly exits: readonly Exit[]
}

/** Sidecar outbound (wire/istio 3.2), one listener for each destination in place of 15001: several identities at once. */
export function clientBootstrap({ origins, exits }: ClientConfig): Json {
  return bootstrap(
    [
      ...exits.map(exitListener),
      ...Object.keys(origins).map((name) => originateListener(originateName(name))),
    ],
    [
      ...exits.map((exit) => tunnelledCluster(`exit_${exit.port}`, [exit], originateName(exit.origin))),
      ...Object.entries(origins).map(([name, origin]) => cluster(name, origin)),
    ],
  )
}

/** The clusters of certificates beside an Envoy's own; each needs its listener. */
export function otherOrigins(origins: Readonly<Record<string, TlsFiles>>): readonly Json[] {
  return Object.entries(origins).map(([name, tls]) => cluster(name, { tls }))
}

/** Name of the cluster that holds an origin's HTTP/2 connections, for its statistics. */
export function originateName(origin: string): string {
  return `connect_originate_${origin}`
}

function cluster(name: string, origin: Origin): Json {
  return originateCluster({ ...origin, name: originateName(name), trustDomain: 'cluster.local' })
}

function exitListener({ port }: Exit): Json {
  return {
    name: `exit_${port}`,
    address: socketAddress('127.0.0.1', port),
    filter_chains: [{ filters: [tcpProxy(`exit_${port}`)] }],
  }
}
