import { hostname, networkInterfaces } from 'node:os'

/** The names under which clients may know the config server, for its certificate. */
export interface ServerNames {
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
}

/** Istio's name of its control plane, which an unchanged ztunnel asks for. */
const ISTIOD_NAME = 'istiod.istio-system.svc'
const UNSPECIFIED: ReadonlySet<string> = new Set(['0.0.0.0', '::'])

/**
 * The configured names and those that the machine answers to: loopback, its
 * host name, and the addresses that it listens on, all of the machine's when
 * it listens on every one.
 */
export function serverNames(host: string, configured: Partial<ServerNames>): ServerNames {
  const everywhere = [...Object.values(networkInterfaces())]
    .flatMap((addresses) => addresses ?? [])
    // A link-local address means nothing without its interface.
    .filter(({ address }) => !address.startsWith('fe80:'))
    .map(({ address }) => address)
  const bound = UNSPECIFIED.has(host) ? everywhere : [host]
  return {
    dnsNames: unique([ISTIOD_NAME, 'localhost', hostname(), ...(configured.dnsNames ?? [])]),
    ipAddresses: unique(['127.0.0.1', '::1', ...bound, ...(configured.ipAddresses ?? [])]),
  }
}

function unique(names: readonly string[]): readonly string[] {
  return [...new Set(names.filter((name) => name !== ''))]
}
