import { Buckets } from './buckets.ts'
import { workloadIdentity } from './identity.ts'
import type { Identity, NetworkAddress, Workload } from './model.ts'
import { shareParts, ValuePool } from './value-pool.ts'

/** Workloads by uid, address, hostname, node and name. */
export class WorkloadIndex {
  readonly #byUid = new Map<string, Workload>()
  readonly #byAddress = new Map<string, Buckets<Workload>>()
  readonly #byHostname = new Buckets<Workload>(rank)
  readonly #byNode = new Map<string, Buckets<Workload>>()
  readonly #local = new Buckets<Workload>(rank)
  readonly #pool = new ValuePool()
  readonly #node: string | undefined

  /** `node` limits `local` to that node's workloads; undefined takes all of them. */
  constructor(node: string | undefined) {
    this.#node = node
  }

  /** The stored copy, and the one that it replaces. */
  upsert(
    given: Workload,
    isShared: boolean,
  ): { readonly workload: Workload; readonly previous: Workload | undefined } {
    const previous = this.remove(given.uid)
    const workload = isShared ? given : shareParts(given, this.#pool)
    this.#byUid.set(workload.uid, workload)
    if (isAddressable(workload)) {
      const addresses = bucketsOf(this.#byAddress, workload.network, rank)
      for (const address of new Set(workload.addresses)) addresses.add(address, workload)
    }
    if (workload.hostname !== '') this.#byHostname.add(hostnameKey(workload), workload)
    // An unscheduled workload is on no node: nobody may ask for its certificate.
    if (workload.node !== '') bucketsOf(this.#byNode, workload.node).add(accountKey(workload), workload)
    if (this.#isLocal(workload)) this.#local.add(podKey(workload), workload)
    return { workload, previous }
  }

  remove(uid: string): Workload | undefined {
    const workload = this.#byUid.get(uid)
    if (workload === undefined) return undefined
    this.#byUid.delete(uid)
    if (isAddressable(workload)) {
      for (const address of new Set(workload.addresses)) {
        removeFrom(this.#byAddress, workload.network, address, workload)
      }
    }
    if (workload.hostname !== '') this.#byHostname.remove(hostnameKey(workload), workload)
    if (workload.node !== '') removeFrom(this.#byNode, workload.node, accountKey(workload), workload)
    if (this.#isLocal(workload)) this.#local.remove(podKey(workload), workload)
    return workload
  }

  get(uid: string): Workload | undefined {
    return this.#byUid.get(uid)
  }

  byAddress({ network, address }: NetworkAddress): Workload | undefined {
    return this.#byAddress.get(network)?.first(address)
  }

  byHostname(namespace: string, hostname: string): Workload | undefined {
    return this.#byHostname.first(`${namespace}/${hostname}`)
  }

  local(name: string, namespace: string, serviceAccount: string): Workload | undefined {
    return this.#local.first(`${namespace}/${serviceAccount}/${name}`)
  }

  /** Each identity once. */
  *identitiesOnNode(node: string, clusterId: string | undefined): Iterable<Identity> {
    const accounts = this.#byNode.get(node)
    if (accounts === undefined) return
    for (const key of accounts.keys()) {
      const seen = new Set<string>()
      for (const workload of accounts.all(key)) {
        if (clusterId !== undefined && workload.clusterId !== clusterId) continue
        if (seen.has(workload.trustDomain)) continue
        seen.add(workload.trustDomain)
        yield workloadIdentity(workload)
      }
    }
  }

  hasIdentityOnNode(
    node: string,
    namespace: string,
    serviceAccount: string,
    clusterId: string | undefined,
  ): boolean {
    const found = this.#byNode.get(node)?.all(`${namespace}/${serviceAccount}`) ?? []
    return clusterId === undefined ? found.length > 0 : found.some((w) => w.clusterId === clusterId)
  }

  values(): Iterable<Workload> {
    return this.#byUid.values()
  }

  #isLocal(workload: Workload): boolean {
    return this.#node === undefined || this.#node === workload.node
  }
}

/** wire/ztunnel 3.15: a pod before anything else on its address, one that takes HBONE before one that does not. */
function rank(workload: Workload): number {
  return (workload.uid.includes('//Pod/') ? 2 : 0) + (workload.tunnelProtocol === 'HBONE' ? 1 : 0)
}

/** A host-network pod shares its node's address with everything else there (wire/ztunnel 3.15). */
function isAddressable(workload: Workload): boolean {
  return workload.networkMode !== 'HOST_NETWORK'
}

function hostnameKey({ namespace, hostname }: Workload): string {
  return `${namespace}/${hostname}`
}

function accountKey({ namespace, serviceAccount }: Workload): string {
  return `${namespace}/${serviceAccount}`
}

function podKey({ namespace, serviceAccount, name }: Workload): string {
  return `${namespace}/${serviceAccount}/${name}`
}

function bucketsOf(
  map: Map<string, Buckets<Workload>>,
  key: string,
  order?: (workload: Workload) => number,
): Buckets<Workload> {
  let found = map.get(key)
  if (found === undefined) {
    found = new Buckets(order)
    map.set(key, found)
  }
  return found
}

function removeFrom(
  map: Map<string, Buckets<Workload>>,
  key: string,
  within: string,
  workload: Workload,
): void {
  const buckets = map.get(key)
  buckets?.remove(within, workload)
  if (buckets?.size === 0) map.delete(key)
}
