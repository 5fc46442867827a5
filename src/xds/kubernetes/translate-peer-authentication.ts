import { EMPTY_MATCH } from '../../mesh/empty-match.ts'
import type { AuthorizationPolicy as MeshPolicy, PolicyMatch } from '../../mesh/model.ts'
import type { MutualTlsMode, PeerAuthentication } from './objects.ts'
import type { Labelled } from './selector.ts'
import { SelectorIndex } from './selector-index.ts'
import type { TranslateContext } from './translate-context.ts'

export interface MutualTlsPolicies {
  readonly policies: readonly MeshPolicy[]
  /** Names of the policies that a workload must list. */
  attachedTo(workload: Labelled): readonly string[]
}

/**
 * PeerAuthentications as DENY policies against peers without an identity, the
 * form in which istiod sends them. DISABLE counts as PERMISSIVE: a node proxy
 * never turns its tunnel off.
 *
 * istiod errs in two corners, which are done here as documented: a DISABLE
 * port of a policy that inherits STRICT is exempt like a PERMISSIVE one, and a
 * STRICT port under a PERMISSIVE policy stays strict whatever the mesh says.
 */
export function translatePeerAuthentications(context: TranslateContext): MutualTlsPolicies {
  const all = [...context.objects.peerAuthentications.values()].sort(byAge)
  if (all.length === 0) return { policies: [], attachedTo: () => [] }
  const modes = namespaceModes(all)
  /** What holds in a namespace for workloads that no selector picks. */
  const inherited = (namespace: string): MutualTlsMode => {
    const asked = [namespace, context.rootNamespace].map((level) => modes.get(level) ?? 'UNSET')
    return asked.find((mode) => mode !== 'UNSET') ?? 'PERMISSIVE'
  }
  const effective = ({ metadata, spec }: PeerAuthentication) =>
    spec.mode === 'UNSET' ? inherited(metadata.namespace) : spec.mode
  const strict: MeshPolicy = {
    ...denyPolicy(context.rootNamespace, 'istio_converted_static_strict'),
    rules: [[[ANONYMOUS]]],
  }
  const converted = new Map<PeerAuthentication, MeshPolicy>()
  for (const policy of all) {
    if (policy.metadata.namespace === context.rootNamespace) continue
    const rules = portRules(policy, effective(policy))
    if (rules.length === 0) continue
    const name = `converted_peer_authentication_${policy.metadata.name}`
    converted.set(policy, { ...denyPolicy(policy.metadata.namespace, name), rules })
  }
  const selectors = peerAuthenticationSelectors(all, context.rootNamespace)
  return {
    policies: [strict, ...converted.values()],
    attachedTo: (pod) => {
      // The oldest.
      const [selecting] = selectors.matching(pod)
      const own = selecting === undefined ? undefined : converted.get(selecting)
      if (own !== undefined) return [`${own.namespace}/${own.name}`]
      const mode = selecting ? effective(selecting) : inherited(pod.metadata.namespace)
      return mode === 'STRICT' ? [`${strict.namespace}/${strict.name}`] : []
    },
  }
}

/** Whoever has no identity. */
const ANONYMOUS: PolicyMatch = { ...EMPTY_MATCH, notPrincipals: [{ kind: 'presence' }] }

function denyPolicy(namespace: string, name: string): Omit<MeshPolicy, 'rules'> {
  return { name, namespace, scope: 'WORKLOAD_SELECTOR', action: 'DENY', dryRun: false }
}

/** Oldest first; policies without a date count as oldest, in order of name. */
export function byAge(a: PeerAuthentication, b: PeerAuthentication): number {
  const [left, right] = [a, b].map(({ metadata: m }) => `${m.creationTimestamp} ${m.namespace}/${m.name}`)
  return String(left) < String(right) ? -1 : 1
}

/** The policies that select workloads. From the root namespace none does, as in istiod. */
export function peerAuthenticationSelectors(
  all: Iterable<PeerAuthentication>,
  rootNamespace: string,
): SelectorIndex<PeerAuthentication> {
  return new SelectorIndex(
    [...all].flatMap((item) => {
      const selector = item.spec.matchLabels
      const { namespace } = item.metadata
      return selector === undefined || namespace === rootNamespace ? [] : [{ item, namespace, selector }]
    }),
  )
}

/** By namespace, what its oldest policy without selector asks for. */
function namespaceModes(all: readonly PeerAuthentication[]): ReadonlyMap<string, MutualTlsMode> {
  const modes = new Map<string, MutualTlsMode>()
  for (const { metadata, spec } of all) {
    if (spec.matchLabels === undefined && !modes.has(metadata.namespace))
      modes.set(metadata.namespace, spec.mode)
  }
  return modes
}

/** Rules for the ports that differ from the policy's own mode; none when no port does. */
function portRules(policy: PeerAuthentication, mode: MutualTlsMode): MeshPolicy['rules'] {
  if (policy.spec.matchLabels === undefined) return []
  const ports = [...policy.spec.portLevelMtls]
  if (mode === 'STRICT') {
    const exempt = ports.filter(([, own]) => own === 'PERMISSIVE' || own === 'DISABLE')
    if (exempt.length === 0) return []
    return [[[ANONYMOUS], ...exempt.map(([port]) => [{ ...EMPTY_MATCH, notDestinationPorts: [port] }])]]
  }
  const strict = ports.filter(([, own]) => own === 'STRICT')
  return strict.map(([port]) => [[{ ...ANONYMOUS, destinationPorts: [port] }]])
}
