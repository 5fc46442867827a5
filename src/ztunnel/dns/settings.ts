import type { ResolverSettings } from './resolver.ts'

/** Where the DNS proxy listens. */
export type DnsAddress =
  /** 127.0.0.1, and ::1 where there is one. */
  | { readonly kind: 'localhost'; readonly port: number }
  | { readonly kind: 'address'; readonly address: string; readonly port: number }

/** What the DNS proxies of all workloads are told alike. */
export interface DnsSettings extends ResolverSettings {
  readonly listen: DnsAddress
}
