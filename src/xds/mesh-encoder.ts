import type { WaypointPolicy } from '../mesh/http/policy-model.ts'
import { type Route, routeName } from '../mesh/http/route-model.ts'
import type { AuthorizationPolicy, Service, Workload } from '../mesh/model.ts'
import { policyName, serviceKey } from '../mesh/names.ts'
import {
  policyResource,
  routeResource,
  serviceResource,
  waypointPolicyResource,
  workloadResource,
} from './mesh-resources.ts'
import { type CachedResource, type NewResource, versionOf } from './resource.ts'
import { sameValue } from './same-value.ts'
import type { SourceSnapshot } from './source.ts'
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, ROUTE_TYPE, WAYPOINT_POLICY_TYPE } from './type-urls.ts'

/** What a mesh became. */
export interface EncodedMesh {
  readonly resources: ReadonlyMap<string, readonly CachedResource[]>
  /** The same mesh, with the earlier object in place of each that says nothing new. */
  readonly mesh: SourceSnapshot
}

/**
 * Encodes one mesh after another. An object that says what it said before is
 * not encoded again, be it the same object or a new one: a source that reads
 * everything anew for one changed endpoint costs a comparison per object.
 */
export class MeshEncoder {
  readonly #services = new KindEncoder<Service>(serviceKey, serviceResource)
  readonly #workloads = new KindEncoder<Workload>(({ uid }) => uid, workloadResource)
  readonly #policies = new KindEncoder<AuthorizationPolicy>(policyName, policyResource)
  readonly #routes = new KindEncoder<Route>(routeName, routeResource)
  readonly #waypointPolicies = new KindEncoder<WaypointPolicy>(policyName, waypointPolicyResource)

  /**
   * Works for `TURN_MS` at a time; `nextTurn` resolves when other work has had
   * a turn. Calls must not overlap.
   */
  async encode(mesh: SourceSnapshot, nextTurn: () => Promise<void>): Promise<EncodedMesh> {
    const pause = turns(nextTurn)
    const services = await this.#services.encode(mesh.services, pause)
    const workloads = await this.#workloads.encode(mesh.workloads, pause)
    const policies = await this.#policies.encode(mesh.policies, pause)
    const routes = await this.#routes.encode(mesh.routes ?? [], pause)
    const waypointPolicies = await this.#waypointPolicies.encode(mesh.waypointPolicies ?? [], pause)
    return {
      resources: new Map([
        [ADDRESS_TYPE, [...services.resources, ...workloads.resources]],
        [AUTHORIZATION_TYPE, policies.resources],
        [ROUTE_TYPE, routes.resources],
        [WAYPOINT_POLICY_TYPE, waypointPolicies.resources],
      ]),
      mesh: {
        services: services.objects,
        workloads: workloads.objects,
        policies: policies.objects,
        routes: routes.objects,
        waypointPolicies: waypointPolicies.objects,
      },
    }
  }
}

/** Longest time without a turn for others: connections' pings, probes and tokens wait for it. Milliseconds. */
const TURN_MS = 20
/** Objects between two looks at the clock; the largest part of a turn that one look may miss. Entries. */
const OBJECTS_PER_LOOK = 64

interface Encoded<T> {
  readonly object: T
  readonly resource: CachedResource
}

/** One kind of object, by name. */
class KindEncoder<T> {
  readonly #nameOf: (object: T) => string
  readonly #resourceOf: (object: T) => NewResource
  #known = new Map<string, Encoded<T>>()

  constructor(nameOf: (object: T) => string, resourceOf: (object: T) => NewResource) {
    this.#nameOf = nameOf
    this.#resourceOf = resourceOf
  }

  async encode(
    objects: readonly T[],
    pause: () => Promise<void> | undefined,
  ): Promise<{ readonly objects: readonly T[]; readonly resources: readonly CachedResource[] }> {
    const next = new Map<string, Encoded<T>>()
    for (const [index, object] of objects.entries()) {
      if (index % OBJECTS_PER_LOOK === 0) await pause()
      const name = this.#nameOf(object)
      const known = this.#known.get(name)
      next.set(name, known !== undefined && sameValue(known.object, object) ? known : this.#encode(object))
    }
    this.#known = next
    const encoded = [...next.values()]
    return {
      objects: encoded.map(({ object }) => object),
      resources: encoded.map(({ resource }) => resource),
    }
  }

  #encode(object: T): Encoded<T> {
    const resource = this.#resourceOf(object)
    return { object, resource: { ...resource, version: versionOf(resource.value) } }
  }
}

/** Gives others a turn when one has lasted long enough. */
function turns(nextTurn: () => Promise<void>): () => Promise<void> | undefined {
  let began = performance.now()
  return () => {
    if (performance.now() - began < TURN_MS) return undefined
    return nextTurn().then(() => {
      began = performance.now()
    })
  }
}
