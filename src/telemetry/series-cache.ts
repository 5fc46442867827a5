import type { Service, Workload } from '../mesh/model.ts'
import type { ConnectionInfo, Direction } from './connection-info.ts'

/** Of one pair of workloads: the services between them, mostly one. More than this and the pair starts anew. */
const MAX_KINDS = 8

/** All that tells the label sets of one pair of workloads apart. */
interface Kind<Series> {
  readonly direction: Direction
  readonly secure: boolean
  readonly service: Service | undefined
  readonly sourceIdentity: string | undefined
  readonly destinationIdentity: string | undefined
  readonly series: Series
}

/**
 * Finds the series of a connection without its label text, which has some 900
 * characters: putting it together and looking it up is most of what counting a
 * connection costs. Knows pairs of workloads that the mesh holds, and forgets
 * them with the mesh; the mesh never changes one, but puts another in its place.
 */
export class SeriesCache<Series> {
  #pairs = new WeakMap<Workload, WeakMap<Workload, Kind<Series>[]>>()

  get(info: ConnectionInfo): Series | undefined {
    const { source, destination } = info
    if (source.workload === undefined || destination.workload === undefined) return undefined
    return this.#pairs
      .get(source.workload)
      ?.get(destination.workload)
      ?.find((kind) => isOfKind(info, kind))?.series
  }

  set(info: ConnectionInfo, series: Series): void {
    const { direction, secure, source, destination } = info
    if (source.workload === undefined || destination.workload === undefined) return
    const destinations = this.#pairs.get(source.workload) ?? new WeakMap<Workload, Kind<Series>[]>()
    this.#pairs.set(source.workload, destinations)
    const known = destinations.get(destination.workload) ?? []
    const kind = {
      direction,
      secure,
      service: destination.service,
      sourceIdentity: source.identity,
      destinationIdentity: destination.identity,
      series,
    }
    destinations.set(destination.workload, [...(known.length < MAX_KINDS ? known : []), kind])
  }

  /** A series is no longer one: everything is looked up anew. */
  clear(): void {
    this.#pairs = new WeakMap()
  }
}

function isOfKind<Series>({ direction, secure, source, destination }: ConnectionInfo, kind: Kind<Series>) {
  return (
    direction === kind.direction &&
    secure === kind.secure &&
    destination.service === kind.service &&
    source.identity === kind.sourceIdentity &&
    destination.identity === kind.destinationIdentity
  )
}
