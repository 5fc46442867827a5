/** Kind of the workload that a name in baggage belongs to. */
export type BaggageWorkloadType = 'deployment' | 'cronjob' | 'pod' | 'job'

/**
 * What a workload says about itself in the `baggage` header. Not proven by
 * anything: for logs and metrics only.
 */
export interface Baggage {
  readonly clusterId?: string | undefined
  readonly namespace?: string | undefined
  /** In either case when encoded; lower case when decoded. */
  readonly workloadType?: BaggageWorkloadType | Uppercase<BaggageWorkloadType> | undefined
  readonly workloadName?: string | undefined
  readonly serviceName?: string | undefined
  readonly serviceVersion?: string | undefined
  readonly region?: string | undefined
  readonly zone?: string | undefined
}

/**
 * The value of a `baggage` header, ztunnel's keys in ztunnel's order, without
 * escaping; empty when nothing is known. A value that the format cannot carry
 * (a comma, or what is not visible ASCII) is left out.
 */
export function encodeBaggage(baggage: Baggage): string {
  const items: string[] = []
  const add = (key: string, value: string | undefined): void => {
    if (value !== undefined && VALUE.test(value)) items.push(`${key}=${value}`)
  }
  add(KEYS.clusterId, baggage.clusterId)
  add(KEYS.namespace, baggage.namespace)
  add(workloadKey(baggage.workloadType), baggage.workloadName)
  add(KEYS.serviceName, baggage.serviceName)
  add(KEYS.serviceVersion, baggage.serviceVersion)
  add(KEYS.region, baggage.region)
  add(KEYS.zone, baggage.zone)
  return items.join(',')
}

/**
 * Reads a `baggage` header as ztunnel does: exact keys, no trimming, what
 * follows a second `=` dropped, a later item wins, unknown keys ignored. A
 * header with anything but visible ASCII says nothing at all. Never throws.
 */
export function decodeBaggage(header: string | undefined): Baggage {
  const baggage: { -readonly [Key in keyof Baggage]: Baggage[Key] } = {}
  if (header === undefined || !VISIBLE_ASCII.test(header)) return baggage
  // Node joins repeated headers with ', '; ztunnel sees each by itself.
  for (const item of header.split(HEADER_OR_ITEM_END)) {
    const [key, value] = item.split('=', 2)
    if (key === undefined || value === undefined || value === '') continue
    const field = FIELDS.get(key)
    if (field !== undefined) baggage[field] = value
    const type = WORKLOAD_KEYS.get(key)
    if (type !== undefined) {
      baggage.workloadType = type
      baggage.workloadName = value
    }
  }
  return baggage
}

const KEYS = {
  clusterId: 'k8s.cluster.name',
  namespace: 'k8s.namespace.name',
  serviceName: 'service.name',
  serviceVersion: 'service.version',
  region: 'cloud.region',
  zone: 'cloud.availability_zone',
} as const

const FIELDS: ReadonlyMap<string, keyof typeof KEYS> = new Map([
  [KEYS.clusterId, 'clusterId'],
  [KEYS.namespace, 'namespace'],
  [KEYS.serviceName, 'serviceName'],
  [KEYS.serviceVersion, 'serviceVersion'],
  [KEYS.region, 'region'],
  [KEYS.zone, 'zone'],
])

const WORKLOAD_KEYS: ReadonlyMap<string, BaggageWorkloadType> = new Map([
  ['k8s.deployment.name', 'deployment'],
  ['k8s.cronjob.name', 'cronjob'],
  ['k8s.pod.name', 'pod'],
  ['k8s.job.name', 'job'],
])

const VALUE = /^[\x20-\x2b\x2d-\x7e]+$/
const VISIBLE_ASCII = /^[\t\x20-\x7e]*$/
const HEADER_OR_ITEM_END = /, |,/

/** A workload without a known kind is named as a deployment, protobuf's default. */
function workloadKey(type: Baggage['workloadType'] = 'deployment'): string {
  return `k8s.${type.toLowerCase()}.name`
}
