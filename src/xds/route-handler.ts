import { type Route, routeName } from '../mesh/http/route-model.ts'
import type { RouteChanges } from '../mesh/http/route-table.ts'
import { invalid } from './decode-fields.ts'
import { decodeRoute } from './decode-route.ts'
import type { ResourceBatch, ResourceHandler } from './handler.ts'
import { ROUTE_TYPE } from './type-urls.ts'

/** Takes a batch of changes as one. */
export interface RouteTarget {
  apply(changes: RouteChanges): void
}

/** Puts routes into a waypoint. A refused route leaves the one of its name in force as it was. */
export class RouteHandler implements ResourceHandler {
  readonly typeUrl = ROUTE_TYPE
  /** Where a route leads, policies decide: without one of them, none is let in that should not be. */
  readonly syncedDespiteRejections = true
  readonly #target: RouteTarget

  constructor(target: RouteTarget) {
    this.#target = target
  }

  batch(): ResourceBatch {
    const upserts: Route[] = []
    const removals: string[] = []
    return {
      update: (name, bytes) => {
        const route = decodeRoute(bytes)
        // Under another name it could never be taken away again.
        if (routeName(route) !== name) throw invalid(`the resource is ${routeName(route)}`)
        upserts.push(route)
      },
      remove: (name) => void removals.push(name),
      commit: () => void this.#target.apply({ upserts, removals }),
    }
  }
}
