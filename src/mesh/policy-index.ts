import { CompiledPolicy } from './compiled-policy.ts'
import type { AuthorizationPolicy, Workload } from './model.ts'
import { policyName } from './names.ts'

/** Called with a name that a workload lists and nobody has sent; the policy is taken as absent (wire/ztunnel 8.1). */
export type UnknownPolicyListener = (policyName: string, workload: Workload) => void

/** Policies by name and by the connections that they bear on. */
export class PolicyIndex {
  readonly #byName = new Map<string, CompiledPolicy>()
  /** Names by namespace; the empty one holds for all (wire/ztunnel 8.2). */
  readonly #scopes = new Map<string, Map<string, CompiledPolicy>>()
  readonly #onUnknown: UnknownPolicyListener | undefined

  constructor(onUnknown: UnknownPolicyListener | undefined) {
    this.#onUnknown = onUnknown
  }

  upsert(policy: AuthorizationPolicy): void {
    const name = policyName(policy)
    this.remove(name)
    const compiled = CompiledPolicy.of(policy)
    this.#byName.set(name, compiled)
    const scope = scopeOf(policy)
    if (scope === undefined) return
    const scoped = this.#scopes.get(scope)
    if (scoped === undefined) this.#scopes.set(scope, new Map([[name, compiled]]))
    else scoped.set(name, compiled)
  }

  /** Whether there was one. */
  remove(name: string): boolean {
    const policy = this.#byName.get(name)
    if (policy === undefined) return false
    this.#byName.delete(name)
    const scope = scopeOf(policy)
    if (scope === undefined) return true
    const scoped = this.#scopes.get(scope)
    scoped?.delete(name)
    if (scoped?.size === 0) this.#scopes.delete(scope)
    return true
  }

  /**
   * Policies of the workload's namespace, the global ones, and those that the
   * workload lists, whatever their scope (wire/ztunnel 8.1). Each once.
   */
  for(workload: Workload): readonly AuthorizationPolicy[] {
    const namespaced = this.#scopes.get(workload.namespace)
    const global = this.#scopes.get(GLOBAL)
    const listed = workload.authorizationPolicies
    if (namespaced === undefined && global === undefined && listed.length === 0) return []
    const found = new Set<AuthorizationPolicy>(namespaced?.values())
    for (const policy of global?.values() ?? []) found.add(policy)
    for (const name of listed) {
      const policy = this.#byName.get(name)
      if (policy !== undefined) found.add(policy)
      else this.#onUnknown?.(name, workload)
    }
    return [...found]
  }

  values(): Iterable<AuthorizationPolicy> {
    return this.#byName.values()
  }
}

const GLOBAL = ''

/** Undefined for a policy that applies only to the workloads that list it. */
function scopeOf(policy: AuthorizationPolicy): string | undefined {
  switch (policy.scope) {
    case 'GLOBAL':
      return GLOBAL
    case 'NAMESPACE':
      return policy.namespace
    case 'WORKLOAD_SELECTOR':
      return undefined
  }
}
