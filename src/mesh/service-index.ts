import { canonicalAddress, isAddress, parseCidr } from './addresses.ts'
import { Buckets } from './buckets.ts'
import { CidrTable } from './cidr-table.ts'
import type { NetworkAddress, Service, ServiceKey } from './model.ts'
import { serviceKey } from './names.ts'

/** Services by key, hostname and virtual address. */
export class ServiceIndex {
  readonly #byKey = new Map<ServiceKey, Service>()
  readonly #byHostname = new Buckets<Service>()
  readonly #networks = new Map<string, VirtualAddresses>()

  /** The service that this one replaces. */
  upsert(service: Service): Service | undefined {
    const key = serviceKey(service)
    const previous = this.remove(key)
    this.#byKey.set(key, service)
    this.#byHostname.add(service.hostname, service)
    for (const { network, text } of virtualAddresses(service)) this.#network(network).add(text, service)
    return previous
  }

  remove(key: ServiceKey): Service | undefined {
    const service = this.#byKey.get(key)
    if (service === undefined) return undefined
    this.#byKey.delete(key)
    this.#byHostname.remove(service.hostname, service)
    for (const { network, text } of virtualAddresses(service))
      this.#networks.get(network)?.remove(text, service)
    return service
  }

  get(key: ServiceKey): Service | undefined {
    return this.#byKey.get(key)
  }

  /** All that have this hostname, whoever may see them, in the order of their arrival. */
  allByHostname(hostname: string): readonly Service[] {
    return this.#byHostname.all(hostname)
  }

  byHostname(hostname: string, clientNamespace: string | undefined): Service | undefined {
    return bestService(this.#byHostname.all(hostname), clientNamespace)
  }

  /** Blocks are asked only when no exact address leads to a visible service (wire/ztunnel 3.14). */
  byAddress({ network, address }: NetworkAddress, clientNamespace: string | undefined): Service | undefined {
    const addresses = this.#networks.get(network)
    if (addresses === undefined) return undefined
    return (
      bestService(addresses.exact.all(address), clientNamespace) ??
      bestBlock(addresses.blocks, address, clientNamespace)
    )
  }

  values(): Iterable<Service> {
    return this.#byKey.values()
  }

  #network(name: string): VirtualAddresses {
    let found = this.#networks.get(name)
    if (found === undefined) {
      found = new VirtualAddresses()
      this.#networks.set(name, found)
    }
    return found
  }
}

/** What one network's virtual addresses lead to. */
class VirtualAddresses {
  readonly exact = new Buckets<Service>()
  readonly blocks = new CidrTable<Service>()

  /** `text` is an address or a block. */
  add(text: string, service: Service): void {
    if (text.includes('/')) this.blocks.add(text, service)
    else this.exact.add(text, service)
  }

  remove(text: string, service: Service): void {
    if (text.includes('/')) this.blocks.remove(text, service)
    else this.exact.remove(text, service)
  }
}

/** Each once. A block of one address is that address, and wins as one (wire/ztunnel 3.14). */
function virtualAddresses(service: Service): Iterable<{ network: string; text: string }> {
  const found = new Map<string, { network: string; text: string }>()
  const keep = (network: string, text: string): void =>
    void found.set(`${network}/${text}`, { network, text })
  for (const { network, address } of service.addresses) keep(network, canonicalAddress(address))
  for (const { network, cidr } of service.cidrs) {
    const text = parseCidr(cidr)?.text
    if (text === undefined) continue
    const [address = text, length] = text.split('/')
    const whole = isAddress(address) && Number(length) === (address.includes(':') ? 128 : 32)
    keep(network, whole ? address : text)
  }
  return found.values()
}

/**
 * Of those that the client may see: the one of its own namespace, then the last canonical one, then the first of the
 * preferred namespace (DNS has one, routing none), then the first to arrive (wire/ztunnel 3.14).
 */
export function bestService(
  candidates: readonly Service[],
  clientNamespace: string | undefined,
  preferredNamespace?: string,
): Service | undefined {
  let canonical: Service | undefined
  let preferred: Service | undefined
  let first: Service | undefined
  for (const service of candidates) {
    if (!isVisible(service, clientNamespace)) continue
    if (service.namespace === clientNamespace) return service
    if (service.canonical) canonical = service
    if (service.namespace === preferredNamespace) preferred ??= service
    first ??= service
  }
  return canonical ?? preferred ?? first
}

/** wire/ztunnel 3.14: own namespace, then prefix length, then canonical, then the first to arrive. */
function bestBlock(
  blocks: CidrTable<Service>,
  address: string,
  clientNamespace: string | undefined,
): Service | undefined {
  let best: Service | undefined
  let bestRank = -1
  for (const { value, length } of blocks.matches(address)) {
    if (!isVisible(value, clientNamespace)) continue
    const own = value.namespace === clientNamespace ? OWN_NAMESPACE_RANK : 0
    const rank = own + length * 2 + (value.canonical ? 1 : 0)
    if (rank > bestRank) {
      best = value
      bestRank = rank
    }
  }
  return best
}

/** More than the longest canonical prefix can reach: 128 × 2 + 1. */
const OWN_NAMESPACE_RANK = 512

/** Without a client namespace there is nobody to hide from (wire/ztunnel 3.14). */
function isVisible(service: Service, clientNamespace: string | undefined): boolean {
  return (
    clientNamespace === undefined ||
    service.visibility !== 'NAMESPACE' ||
    service.namespace === clientNamespace
  )
}
