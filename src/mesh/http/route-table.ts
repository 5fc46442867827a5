import type { ServiceKey } from '../model.ts'
import { type HttpRoute, type Route, routeName, type TcpRoute } from './route-model.ts'
import { compareRoutes } from './route-order.ts'

/** What a request or connection is addressed to, and by whom. */
export interface RouteQuery {
  readonly service: ServiceKey
  /** Of the Service. */
  readonly port: number
  /** Of the client's identity; undefined for one without. Its own routes to a Service of another namespace come first. */
  readonly clientNamespace: string | undefined
  /** `namespace/name` of the Gateway that the asking waypoint is; undefined: routes of Services alone. */
  readonly gateway?: string
}

/**
 * The routes that hold for one port of a Service: of one kind, as the Gateway
 * API has it, in order of age and name. Their rules are to be merged.
 */
export type ApplicableRoutes =
  | {
      readonly kind: 'HTTPRoute' | 'GRPCRoute'
      readonly routes: readonly HttpRoute[]
      readonly via: RouteVia
    }
  | { readonly kind: 'TCPRoute'; readonly routes: readonly TcpRoute[]; readonly via: RouteVia }

/** How routes come to hold: of the Service's namespace, of the client's, or of the waypoint. */
export type RouteVia = 'producer' | 'consumer' | 'gateway'

/** Change of routes: those that are new or differ, and names of those that are gone. */
export interface RouteChanges {
  readonly upserts: readonly Route[]
  /** As `routeName` has them. */
  readonly removals: readonly string[]
}

/**
 * Routes by what they are attached to. Immutable: `with` gives another table,
 * which shares what did not change, so that a request may keep the one that it
 * began with. Equal questions to one table, or to those that differ elsewhere
 * only, get the same answer object.
 */
export class RouteTable {
  static readonly EMPTY = new RouteTable(new Map(), new Map(), 0)

  /** Counts changes. */
  readonly revision: number
  readonly #routes: ReadonlyMap<string, Route>
  readonly #parents: ReadonlyMap<string, AttachedRoutes>

  private constructor(
    routes: ReadonlyMap<string, Route>,
    parents: ReadonlyMap<string, AttachedRoutes>,
    revision: number,
  ) {
    this.#routes = routes
    this.#parents = parents
    this.revision = revision
  }

  /** All routes, in no particular order. */
  get routes(): Iterable<Route> {
    return this.#routes.values()
  }

  get size(): number {
    return this.#routes.size
  }

  /** Undefined when there is none for this port: requests go where the Service says. */
  lookup({ service, port, clientNamespace, gateway }: RouteQuery): ApplicableRoutes | undefined {
    const attached = this.#parents.get(serviceParent(service))
    const own = attached?.lookup(port, clientNamespace)
    if (own !== undefined || gateway === undefined) return own
    return this.#parents.get(gatewayParent(gateway))?.lookup(port, undefined)
  }

  /** Names both in `upserts` and in `removals` are removed. */
  with({ upserts, removals }: RouteChanges): RouteTable {
    const routes = new Map(this.#routes)
    const touched = new Set<string>()
    const replace = (name: string, route: Route | undefined) => {
      for (const parent of parentsOf(routes.get(name))) touched.add(parent)
      for (const parent of parentsOf(route)) touched.add(parent)
      if (route === undefined) routes.delete(name)
      else routes.set(name, route)
    }
    for (const route of upserts) replace(routeName(route), route)
    for (const name of removals) replace(name, undefined)
    return new RouteTable(routes, this.#reattached(routes, touched), this.revision + 1)
  }

  #reattached(
    routes: ReadonlyMap<string, Route>,
    touched: ReadonlySet<string>,
  ): ReadonlyMap<string, AttachedRoutes> {
    const byParent = new Map<string, Route[]>()
    for (const route of routes.values()) {
      for (const parent of parentsOf(route)) {
        if (!touched.has(parent)) continue
        const routesOf = byParent.get(parent) ?? []
        if (!routesOf.includes(route)) routesOf.push(route)
        byParent.set(parent, routesOf)
      }
    }
    const parents = new Map(this.#parents)
    for (const parent of touched) {
      const attached = byParent.get(parent)
      if (attached === undefined) parents.delete(parent)
      else parents.set(parent, new AttachedRoutes(parent, attached))
    }
    return parents
  }
}

/** The routes of one parent. */
class AttachedRoutes {
  readonly #parent: string
  /** Oldest first. */
  readonly #routes: readonly Route[]
  readonly #consumers: ReadonlySet<string>
  /** Those that routes name. */
  readonly #ports: ReadonlySet<number>
  readonly #answers = new Map<string, ApplicableRoutes | undefined>()

  constructor(parent: string, routes: readonly Route[]) {
    this.#parent = parent
    this.#routes = [...routes].sort(compareRoutes)
    this.#ports = new Set(
      routes.flatMap(({ parents }) => parents.flatMap(({ port }) => (port === undefined ? [] : [port]))),
    )
    this.#consumers = new Set(
      routes.filter((route) => !this.#isProducer(route)).map(({ namespace }) => namespace),
    )
  }

  lookup(port: number, clientNamespace: string | undefined): ApplicableRoutes | undefined {
    // Clients of namespaces without routes of their own share one answer, as do
    // ports that no route names: there are no more answers than routes ask for.
    const consumer =
      clientNamespace !== undefined && this.#consumers.has(clientNamespace) ? clientNamespace : ''
    const question = `${this.#ports.has(port) ? port : 'other'} ${consumer}`
    if (this.#answers.has(question)) return this.#answers.get(question)
    const answer = this.#find(port, consumer)
    this.#answers.set(question, answer)
    return answer
  }

  #find(port: number, consumer: string): ApplicableRoutes | undefined {
    const here = this.#routes.filter((route) =>
      route.parents.some((parent) => covers(parent, this.#parent, port)),
    )
    if (isGateway(this.#parent)) return mostSpecific(here, 'gateway')
    const consumers = here.filter((route) => !this.#isProducer(route) && route.namespace === consumer)
    return (
      mostSpecific(consumers, 'consumer') ??
      mostSpecific(
        here.filter((route) => this.#isProducer(route)),
        'producer',
      )
    )
  }

  /** A waypoint's routes hold for all, as a producer's do. */
  #isProducer({ namespace }: Route): boolean {
    return isGateway(this.#parent) || this.#parent.startsWith(`service ${namespace}/`)
  }
}

/** Only one kind holds for a port, the most specific (GEP-1426, Route types). */
function mostSpecific(routes: readonly Route[], via: RouteVia): ApplicableRoutes | undefined {
  const ofHttp = routes.filter((route) => route.kind !== 'TCPRoute')
  for (const kind of ['GRPCRoute', 'HTTPRoute'] as const) {
    const found = ofHttp.filter((route) => route.kind === kind)
    if (found.length > 0) return Object.freeze({ kind, routes: Object.freeze(found), via })
  }
  const ofTcp = routes.filter((route) => route.kind === 'TCPRoute')
  if (ofTcp.length === 0) return undefined
  return Object.freeze({ kind: 'TCPRoute', routes: Object.freeze(ofTcp), via })
}

function covers(parent: Route['parents'][number], key: string, port: number): boolean {
  return parentKey(parent) === key && (parent.port === undefined || parent.port === port)
}

function parentsOf(route: Route | undefined): readonly string[] {
  return route === undefined ? [] : route.parents.map(parentKey)
}

function parentKey(parent: Route['parents'][number]): string {
  return parent.kind === 'service'
    ? serviceParent(parent.service)
    : gatewayParent(`${parent.namespace}/${parent.name}`)
}

function serviceParent(service: ServiceKey): string {
  return `service ${service}`
}

function gatewayParent(gateway: string): string {
  return `gateway ${gateway}`
}

function isGateway(parent: string): boolean {
  return parent.startsWith('gateway ')
}
