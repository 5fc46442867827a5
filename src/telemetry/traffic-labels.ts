import type { Service, Workload } from '../mesh/model.ts'
import {
  type BaggageNames,
  type ConnectionEnd,
  type ConnectionInfo,
  workloadPrincipal,
} from './connection-info.ts'

/**
 * The labels of one kind of connection as OpenMetrics text, split where the
 * value of `response_flags` goes: the only label that its counters do not share.
 */
export interface TrafficLabels {
  /** Up to and with `response_flags="`. */
  readonly head: string
  /** From the closing quote on. */
  readonly tail: string
}

/** What even those label sets tell apart that are counted under `other`. */
export type TrafficKind = Pick<ConnectionInfo, 'direction' | 'secure' | 'reporter'>

/** Longest label value, characters. Kubernetes names end at 253; baggage comes from peers and may hold anything. */
const MAX_LABEL_LENGTH = 256

/** What Istio puts where it does not know a value. */
const UNKNOWN = 'unknown'

/** Stands for every value of the label sets that exceed the budget. */
const OTHER = 'other'

/** What is said of one end, from the mesh or from baggage. */
interface EndNames {
  readonly workload: string | undefined
  readonly canonicalService: string | undefined
  readonly canonicalRevision: string | undefined
  readonly namespace: string | undefined
  readonly app: string | undefined
  readonly version: string | undefined
  readonly cluster: string | undefined
  readonly region: string | undefined
  readonly zone: string | undefined
}

/** What two ends are known by. */
export type LabelledEnds = Pick<
  ConnectionInfo,
  'source' | 'destination' | 'secure' | 'reporter' | 'direction'
>

/** Turns connections into label text; keeps the text of each workload it has seen while the mesh keeps the workload. */
export class TrafficLabeller {
  readonly #source = new WeakMap<Workload, Map<string, string>>()
  readonly #destination = new WeakMap<Workload, Map<string, string>>()

  /** Labels in the order and with the values of wire/ztunnel 14.1. */
  labels(info: ConnectionInfo): TrafficLabels {
    const { source, destination, secure } = info
    const known = [source, destination].some(({ workload, baggage }) => (workload ?? baggage) !== undefined)
    return {
      head: `${this.ends(info)},request_protocol="tcp",response_flags="`,
      tail: `",connection_security_policy="${secure ? 'mutual_tls' : UNKNOWN}"${known ? localityLabels(source, destination) : ''}`,
    }
  }

  /** The labels of the reporter and both ends, without those of what became of the connection. */
  ends(info: LabelledEnds): string {
    const { source, destination } = info
    const sourceText = cached(this.#source, source.workload, sourcePrincipal(info), (principal) =>
      endLabels('source', endNames(source), principal),
    )
    const destinationText = cached(
      this.#destination,
      destination.workload,
      destinationPrincipal(destination),
      (principal) => endLabels('destination', endNames(destination), principal),
    )
    return `${label('reporter', reporter(info))},${sourceText},${serviceLabels(destination.service)},${destinationText}`
  }
}

/** The labels under which connections are counted whose own label set is beyond the budget. */
export function overflowLabels(info: OverflowEnds): TrafficLabels {
  return {
    head: `${overflowEnds(info)},request_protocol="tcp",response_flags="`,
    tail: `",connection_security_policy="${info.secure ? 'mutual_tls' : UNKNOWN}"`,
  }
}

/** All that is told of what is beyond the budget. */
export type OverflowEnds = Pick<ConnectionInfo, 'direction' | 'reporter' | 'secure'>

/** As `TrafficLabeller.ends`, for what is beyond the budget. */
export function overflowEnds(info: OverflowEnds): string {
  return [
    label('reporter', reporter(info)),
    endLabels('source', OTHER_NAMES, OTHER),
    ...['', '_namespace', '_name'].map((part) => label(`destination_service${part}`, OTHER)),
    endLabels('destination', OTHER_NAMES, OTHER),
  ].join(',')
}

const OTHER_NAMES: EndNames = {
  workload: OTHER,
  canonicalService: OTHER,
  canonicalRevision: OTHER,
  namespace: OTHER,
  app: OTHER,
  version: OTHER,
  cluster: OTHER,
  region: OTHER,
  zone: OTHER,
}

const NO_NAMES: BaggageNames = {}

function reporter(info: TrafficKind): string {
  if (info.reporter !== undefined) return info.reporter
  return info.direction === 'outbound' ? 'source' : 'destination'
}

/** Only what mutual TLS proved; the own workload's identity when it is the own side that proves it. */
function sourcePrincipal({ direction, secure, source }: LabelledEnds): string | undefined {
  if (!secure) return undefined
  if (direction === 'inbound' || source.workload === undefined) return source.identity
  return source.identity ?? workloadPrincipal(source.workload)
}

/** The workload's identity, even where plain TCP does not ask for the proof. */
function destinationPrincipal({ identity, workload }: ConnectionEnd): string | undefined {
  return identity ?? (workload === undefined ? undefined : workloadPrincipal(workload))
}

function endNames({ workload, baggage = NO_NAMES }: ConnectionEnd): EndNames {
  if (workload !== undefined) {
    return {
      workload: workload.workloadName,
      canonicalService: workload.canonicalName,
      canonicalRevision: workload.canonicalRevision,
      namespace: workload.namespace,
      app: workload.canonicalName,
      version: workload.canonicalRevision,
      cluster: workload.clusterId,
      region: workload.locality.region,
      zone: workload.locality.zone,
    }
  }
  return {
    workload: baggage.workloadName,
    canonicalService: baggage.serviceName,
    canonicalRevision: baggage.serviceVersion,
    namespace: baggage.namespace,
    app: baggage.workloadName,
    version: baggage.serviceVersion,
    cluster: baggage.clusterId,
    region: baggage.region,
    zone: baggage.zone,
  }
}

function endLabels(end: 'source' | 'destination', names: EndNames, principal: string | undefined): string {
  return [
    label(`${end}_workload`, names.workload),
    label(`${end}_canonical_service`, names.canonicalService),
    label(`${end}_canonical_revision`, names.canonicalRevision),
    label(`${end}_workload_namespace`, names.namespace),
    label(`${end}_principal`, principal),
    label(`${end}_app`, names.app),
    label(`${end}_version`, names.version),
    label(`${end}_cluster`, names.cluster),
  ].join(',')
}

function serviceLabels(service: Service | undefined): string {
  return [
    label('destination_service', service?.hostname),
    label('destination_service_namespace', service?.namespace),
    label('destination_service_name', service?.name),
  ].join(',')
}

function localityLabels(source: ConnectionEnd, destination: ConnectionEnd): string {
  const from = endNames(source)
  const to = endNames(destination)
  return [
    '',
    label('source_region', from.region),
    label('source_zone', from.zone),
    label('destination_region', to.region),
    label('destination_zone', to.zone),
  ].join(',')
}

/** A workload has one principal in nearly every case; a few more when addresses are reused. */
const MAX_CACHED_PRINCIPALS = 4

function cached(
  cache: WeakMap<Workload, Map<string, string>>,
  workload: Workload | undefined,
  principal: string | undefined,
  render: (principal: string | undefined) => string,
): string {
  if (workload === undefined) return render(principal)
  const texts = cache.get(workload) ?? new Map<string, string>()
  const known = texts.get(principal ?? '')
  if (known !== undefined) return known
  const text = render(principal)
  if (texts.size < MAX_CACHED_PRINCIPALS) texts.set(principal ?? '', text)
  cache.set(workload, texts)
  return text
}

function label(name: string, value: string | undefined): string {
  return `${name}="${escapeLabel(value === undefined || value === '' ? UNKNOWN : value)}"`
}

function escapeLabel(value: string): string {
  const bounded = value.length > MAX_LABEL_LENGTH ? value.slice(0, MAX_LABEL_LENGTH) : value
  return bounded.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')
}
