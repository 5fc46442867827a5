import { isAddress } from '../../mesh/index.ts'
import type { DnsAddress } from '../dns/index.ts'
import type { DnsConfig } from './model.ts'
import { invalid, type Values } from './values.ts'

const DEFAULT_PORT = 15_053
const MAX_PORT = 65_535

/**
 * The DNS proxy: on unless DNS_CAPTURE of the proxy's metadata says something else than true (wire/ztunnel 2.6). With
 * XDS_ON_DEMAND the mesh does not know every name, so the two exclude each other; where DNS was not asked for by name
 * it then gives way.
 */
export function dnsConfig(
  values: Values,
  metadata: Readonly<Record<string, string>>,
  xdsOnDemand: boolean,
): DnsConfig | undefined {
  const preferredNamespace = values.filled('PREFERED_SERVICE_NAMESPACE')
  const listen = listenAddress(metadata['DNS_PROXY_ADDR'])
  const capture = metadata['DNS_CAPTURE']
  if (capture !== undefined && capture.toLowerCase() !== 'true') return undefined
  if (xdsOnDemand) {
    if (capture !== undefined)
      throw invalid(
        'ISTIO_META_DNS_CAPTURE',
        capture,
        'false, because XDS_ON_DEMAND is true: names would be missing',
      )
    values.warn(
      'there is no DNS proxy: with XDS_ON_DEMAND, names of the mesh would be missing from its answers',
    )
    return undefined
  }
  return { listen, preferredNamespace }
}

function listenAddress(value: string | undefined): DnsAddress {
  if (value === undefined) return { kind: 'localhost', port: DEFAULT_PORT }
  const [, host = '', digits = ''] = /^(.*):(\d{1,5})$/.exec(value) ?? []
  const port = digits === '' ? Number.NaN : Number(digits)
  const address = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
  const bracketed = address !== host
  if (port <= MAX_PORT) {
    if (host === 'localhost') return { kind: 'localhost', port }
    if (isAddress(address) && address.includes(':') === bracketed) return { kind: 'address', address, port }
  }
  throw invalid(
    'ISTIO_META_DNS_PROXY_ADDR',
    value,
    'localhost:PORT, or IP:PORT such as 127.0.0.1:15053 or [::1]:15053',
  )
}
