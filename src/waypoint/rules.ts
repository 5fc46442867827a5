import {
  type ApplicableRoutes,
  authorizeHttp,
  type HttpRequestHead,
  type RouteChanges,
  RouteMatcher,
  RouteTable,
  WaypointPolicyTable,
} from '../mesh/http/index.ts'
import { serviceKey, type Verdict } from '../mesh/index.ts'
import type { Arrival, ArrivalContext } from './arrival.ts'
import type { GatewayName } from './config.ts'

/** The routes and policies that a waypoint knows, asked for what is addressed to it. */
export class WaypointRules {
  readonly policies = new WaypointPolicyTable()
  readonly matcher = new RouteMatcher()
  readonly #gateway: GatewayName
  #routes = RouteTable.EMPTY

  constructor(gateway: GatewayName) {
    this.#gateway = gateway
  }

  get routes(): RouteTable {
    return this.#routes
  }

  /** What the control plane sent, all at once. */
  applyRoutes(changes: RouteChanges): void {
    this.#routes = this.#routes.with(changes)
  }

  /** The verdict on a request, or, without `head`, on a connection of another protocol. */
  judge(context: ArrivalContext, head: HttpRequestHead | undefined): Verdict {
    const policies = this.policies.for({
      gateway: this.#gateway,
      gatewayClass: this.#gateway.className,
      service: context.service,
    })
    return authorizeHttp(policies, context, head)
  }

  /** Undefined without any for this port, and for pods, which no route is attached to. */
  routesFor({ target, client }: Pick<Arrival, 'target' | 'client'>): ApplicableRoutes | undefined {
    if (target.kind !== 'service') return undefined
    return this.#routes.lookup({
      service: serviceKey(target.service),
      port: target.port,
      clientNamespace: client.identity?.namespace,
      gateway: `${this.#gateway.namespace}/${this.#gateway.name}`,
    })
  }
}
