export { type DnsDependencies, type DnsEndpoint, DnsProxy, type DnsProxyOptions } from './dns-proxy.ts'
export { DnsError, type DnsErrorCode } from './errors.ts'
export { type ResolvConfSource, watchResolvConf } from './resolv-conf.ts'
export type { DnsAddress, DnsSettings } from './settings.ts'
