import { addressFamily } from './addresses.ts'
import type { Service, Workload } from './model.ts'

/** Where a workload is dialled. */
export type DialAddress =
  | { readonly kind: 'address'; readonly address: string }
  /** It has no usable address: DNS must say, at the time of use. */
  | { readonly kind: 'dns'; readonly hostname: string }
  /** Only its network's gateway can reach it. */
  | { readonly kind: 'gateway-only' }
  | { readonly kind: 'none' }

/**
 * The address at which to dial a workload (wire/ztunnel 3.13): the one that was
 * asked for if it is its own, else the first that the service's IP families
 * allow, of the caller's family if there is one.
 */
export function chooseAddress(
  workload: Workload,
  service: Service | undefined,
  requested: string,
): DialAddress {
  const { addresses } = workload
  if (addresses.includes(requested)) return { kind: 'address', address: requested }
  const allowed = addresses.filter((address) => isAllowedFamily(address, service))
  const family = addressFamily(requested)
  const address = allowed.find((candidate) => addressFamily(candidate) === family) ?? allowed[0]
  if (address !== undefined) return { kind: 'address', address }
  if (workload.hostname !== '') return { kind: 'dns', hostname: workload.hostname }
  return { kind: workload.networkGateway === undefined ? 'none' : 'gateway-only' }
}

function isAllowedFamily(address: string, service: Service | undefined): boolean {
  switch (service?.ipFamilies) {
    case 'IPV4_ONLY':
      return addressFamily(address) === 4
    case 'IPV6_ONLY':
      return addressFamily(address) === 6
    default:
      return true
  }
}
