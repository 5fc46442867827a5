import { CompiledPolicy } from './compiled-policy.ts'
import type { AuthorizationPolicy, Workload } from './model.ts'
import { policyName } from './names.ts'
import { inOrder } from './policy-order.ts'

/** Policies by name and by the connections that they bear on. */
export class PolicyIndex {
  readonly #byName = new Map<string, CompiledPolicy>()
  /** Names by namespace; the empty one holds for all (wire/ztunnel 8.2). */
  readonly #scopes = new Map<string, Map<string, CompiledPolicy>>()
  /** What `for` found, per namespace of a workload: dropped when a policy comes or goes that is in it. */
  readonly #unlisted = new Map<string, readonly CompiledPolicy[]>()
  /** What it found for a workload that lists policies, with the `#changes` up to which that holds. */
  readonly #listed = new WeakMap<Workload, { changes: number; policies: readonly CompiledPolicy[] }>()
  #changes = 0

  upsert(policy: AuthorizationPolicy): void {
    const name = policyName(policy)
    this.remove(name)
    const compiled = CompiledPolicy.of(policy)
    this.#byName.set(name, compiled)
    const scope = scopeOf(policy)
    this.#forget(scope)
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
    this.#forget(scope)
    if (scope === undefined) return true
    const scoped = this.#scopes.get(scope)
    scoped?.delete(name)
    if (scoped?.size === 0) this.#scopes.delete(scope)
    return true
  }

  /**
   * Policies of the workload's namespace, the global ones, and those that the
   * workload lists, whatever their scope (wire/ztunnel 8.1). Each once, in the
   * order of evaluation. The same list until one of them changes: a connection
   * should pay for its policies, not for finding them.
   */
  for(workload: Workload): readonly AuthorizationPolicy[] {
    if (workload.authorizationPolicies.length === 0) return this.#of(workload.namespace)
    const known = this.#listed.get(workload)
    if (known?.changes === this.#changes) return known.policies
    const found = new Set(this.#of(workload.namespace))
    for (const name of workload.authorizationPolicies) {
      const policy = this.#byName.get(name)
      if (policy !== undefined) found.add(policy)
    }
    const policies = inOrder([...found])
    this.#listed.set(workload, { changes: this.#changes, policies })
    return policies
  }

  /** Names that a workload lists and nobody has sent, each once. */
  unknown({ authorizationPolicies }: Workload): readonly string[] {
    const missing = authorizationPolicies.filter((name) => !this.#byName.has(name))
    return missing.length < 2 ? missing : [...new Set(missing)]
  }

  values(): Iterable<AuthorizationPolicy> {
    return this.#byName.values()
  }

  /** What bears on a workload of a namespace that lists nothing. */
  #of(namespace: string): readonly CompiledPolicy[] {
    // One entry for all the namespaces that have none of their own.
    const key = this.#scopes.has(namespace) ? namespace : GLOBAL
    const known = this.#unlisted.get(key)
    if (known !== undefined) return known
    const found = new Set(this.#scopes.get(key)?.values())
    for (const policy of this.#scopes.get(GLOBAL)?.values() ?? []) found.add(policy)
    const policies = inOrder([...found])
    this.#unlisted.set(key, policies)
    return policies
  }

  #forget(scope: string | undefined): void {
    this.#changes++
    if (scope === GLOBAL) this.#unlisted.clear()
    else if (scope !== undefined) this.#unlisted.delete(scope)
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
