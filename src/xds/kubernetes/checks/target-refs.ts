import type { KubernetesObject, ObjectMeta, TargetReference } from '../objects.ts'
import type { CheckInput, Finding } from './finding.ts'

/** Policies bound to an object that is not there. */
export function targetRefs(input: CheckInput): readonly Finding[] {
  const findings: Finding[] = []
  for (const policy of input.objects.authorizationPolicies.values()) {
    for (const ref of policy.spec.targetRefs) {
      if (exists(ref, policy.metadata, input)) continue
      const namespace = ref.namespace ?? policy.metadata.namespace
      const name = ref.kind === 'GatewayClass' ? ref.name : `${namespace}/${ref.name}`
      const message = `there is no ${ref.group === '' ? '' : `${ref.group} `}${ref.kind} ${name}`
      findings.push({ severity: 'warning', object: policy, field: 'spec.targetRefs', message })
    }
  }
  return findings
}

/** istiod brings these classes along: no YAML has them. */
const ISTIO_CLASSES: ReadonlySet<string> = new Set([
  'istio',
  'istio-remote',
  'istio-waypoint',
  'istio-east-west',
])

function exists(ref: TargetReference, { namespace }: ObjectMeta, { objects, others }: CheckInput): boolean {
  if (ref.kind === 'GatewayClass' && ISTIO_CLASSES.has(ref.name)) return true
  const wanted = ref.namespace ?? namespace
  // Those that are read have one group each, which the reader has checked.
  if (GROUPS.get(ref.kind) === ref.group) {
    const kinds: readonly ReadonlyMap<string, KubernetesObject>[] = Object.values(objects)
    const key = `${wanted}/${ref.name}`
    if (kinds.some((found) => found.get(key)?.kind === ref.kind)) return true
  }
  return others.some(
    ({ kind, group, name, namespace }) =>
      kind === ref.kind &&
      group === ref.group &&
      name === ref.name &&
      // A class lives in no namespace.
      (kind === 'GatewayClass' || namespace === wanted),
  )
}

const GROUPS: ReadonlyMap<string, string> = new Map([
  ['Service', ''],
  ['Gateway', 'gateway.networking.k8s.io'],
  ['ServiceEntry', 'networking.istio.io'],
])
