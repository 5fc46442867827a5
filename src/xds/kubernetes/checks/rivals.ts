import { objectKey } from '../collect-objects.ts'
import type { KubernetesObject } from '../objects.ts'
import { byAge } from '../translate-peer-authentication.ts'
import { accountOf, FOR_SERVICE_ACCOUNT, isWaypoint } from '../waypoint-bindings.ts'
import type { CheckInput, Finding } from './finding.ts'

/** Objects that decide the same thing, of which one counts: the other looks as if it were in force. */
export function rivals({ objects, rootNamespace }: CheckInput): readonly Finding[] {
  const claims: Claim[] = []
  for (const policy of [...objects.peerAuthentications.values()].sort(byAge)) {
    if (policy.spec.matchLabels !== undefined) continue
    const { namespace } = policy.metadata
    const scope = namespace === rootNamespace ? 'the mesh' : `namespace ${namespace}`
    claims.push({ what: `the mode of ${scope}`, object: policy, field: 'spec.mtls' })
  }
  for (const gateway of objects.gateways.values()) {
    const account = isWaypoint(gateway) ? accountOf(gateway) : undefined
    if (account === undefined) continue
    const what = `the waypoint of service account ${gateway.metadata.namespace}/${account}`
    const { annotations } = gateway.metadata
    const where = annotations[FOR_SERVICE_ACCOUNT] === undefined ? 'labels' : 'annotations'
    claims.push({ what, object: gateway, field: `metadata.${where}["${FOR_SERVICE_ACCOUNT}"]` })
  }
  return lost(claims)
}

/** In order of rank. */
interface Claim {
  readonly what: string
  readonly object: KubernetesObject
  readonly field: string
}

function lost(claims: readonly Claim[]): readonly Finding[] {
  const winners = new Map<string, Claim>()
  return claims.flatMap((claim): readonly Finding[] => {
    const other = winners.get(claim.what)
    if (other === undefined) {
      winners.set(claim.what, claim)
      return []
    }
    const { what, object, field } = claim
    const message = `has no effect: ${what} is decided by ${other.object.kind} ${objectKey(other.object)}`
    return [{ severity: 'warning', object, field, message, other }]
  })
}
