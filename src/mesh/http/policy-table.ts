import type { ServiceKey } from '../model.ts'
import { policyName } from '../names.ts'
import { inOrder } from '../policy-order.ts'
import { CompiledWaypointPolicy } from './compiled-waypoint-policy.ts'
import type { PolicyTarget, WaypointPolicy } from './policy-model.ts'

/** What a request is addressed to, and by way of which waypoint. */
export interface PolicyQuery {
  readonly gateway: { readonly namespace: string; readonly name: string }
  /** The Gateway's `gatewayClassName`: `istio-waypoint`. */
  readonly gatewayClass: string
  /** Undefined for what is addressed to a pod. */
  readonly service: ServiceKey | undefined
}

export interface PolicyChanges {
  readonly upserts?: readonly WaypointPolicy[]
  /** `namespace/name` */
  readonly removals?: readonly string[]
}

/** The policies that waypoints enforce, by what they are bound to. */
export class WaypointPolicyTable {
  readonly #byName = new Map<string, CompiledWaypointPolicy>()
  readonly #byTarget = new Map<string, Map<string, CompiledWaypointPolicy>>()
  /** What `for` found, until something changes. Bounded by the services that a waypoint serves. */
  readonly #found = new Map<string, readonly CompiledWaypointPolicy[]>()
  readonly #listeners = new Set<() => void>()

  /**
   * All at once: nothing is judged by half of the changes. Throws
   * `SyntaxError`, having changed nothing, for a path template that is none.
   */
  apply({ upserts = [], removals = [] }: PolicyChanges): void {
    const compiled = upserts.map(CompiledWaypointPolicy.of)
    for (const name of removals) this.#remove(name)
    for (const policy of compiled) {
      const name = policyName(policy)
      this.#remove(name)
      this.#byName.set(name, policy)
      for (const key of policy.targets.map(targetKey)) {
        const bound = this.#byTarget.get(key) ?? new Map()
        this.#byTarget.set(key, bound.set(name, policy))
      }
    }
    this.#found.clear()
    for (const listener of this.#listeners) listener()
  }

  /**
   * The policies that bear on a request: those bound to its service, to the
   * waypoint and to the waypoint's class; each once, in the order of
   * evaluation. The same list until something changes.
   */
  for({ gateway, gatewayClass, service }: PolicyQuery): readonly WaypointPolicy[] {
    const keys = [
      targetKey({ kind: 'gatewayClass', name: gatewayClass }),
      targetKey({ kind: 'gateway', ...gateway }),
      ...(service === undefined ? [] : [targetKey({ kind: 'service', service })]),
    ]
    // Not all queries' keys are made of names that the mesh has: those without policies are not kept.
    const bound = keys.filter((key) => this.#byTarget.has(key))
    const key = bound.join(' ')
    const known = this.#found.get(key)
    if (known !== undefined) return known
    const found = new Set(bound.flatMap((key) => [...(this.#byTarget.get(key)?.values() ?? [])]))
    const policies = inOrder([...found])
    this.#found.set(key, policies)
    return policies
  }

  get(name: string): WaypointPolicy | undefined {
    return this.#byName.get(name)
  }

  values(): Iterable<WaypointPolicy> {
    return this.#byName.values()
  }

  /** Called after each `apply`: connections that are open may be judged again. Returns the way to stop it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  #remove(name: string): void {
    const policy = this.#byName.get(name)
    if (policy === undefined) return
    this.#byName.delete(name)
    for (const key of policy.targets.map(targetKey)) {
      const bound = this.#byTarget.get(key)
      bound?.delete(name)
      if (bound?.size === 0) this.#byTarget.delete(key)
    }
  }
}

function targetKey(target: PolicyTarget): string {
  switch (target.kind) {
    case 'service':
      return `service ${target.service}`
    case 'gateway':
      return `gateway ${target.namespace}/${target.name}`
    case 'gatewayClass':
      return `class ${target.name}`
  }
}
