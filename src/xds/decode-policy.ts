import type {
  Address,
  Authorization,
  Match,
  StringMatch as StringMatchMessage,
} from '../gen/istio/security/authorization_pb.ts'
import type { AuthorizationPolicy, PolicyMatch, ServiceAccountMatch, StringMatch } from '../mesh/model.ts'
import { decodeEnum, toPort } from './decode-fields.ts'
import { policyBlockFromBytes } from './ip-bytes.ts'

/** In the order of their numbers on the wire. */
const POLICY_SCOPES: readonly AuthorizationPolicy['scope'][] = ['GLOBAL', 'NAMESPACE', 'WORKLOAD_SELECTOR']
/** In the order of their numbers on the wire. */
export const POLICY_ACTIONS: readonly AuthorizationPolicy['action'][] = ['ALLOW', 'DENY']

/**
 * A policy as the mesh model has it. Throws `XdsError` (`invalid-resource`)
 * for an unknown scope or action. As in Istio's ztunnel, string matches
 * without a kind and addresses that are none are left out.
 */
export function decodePolicy(message: Authorization): AuthorizationPolicy {
  return Object.freeze({
    name: message.name,
    namespace: message.namespace,
    scope: decodeEnum(POLICY_SCOPES, message.scope, 'scope'),
    action: decodeEnum(POLICY_ACTIONS, message.action, 'action'),
    dryRun: message.dryRun,
    rules: message.rules.map(({ clauses }) => clauses.map(({ matches }) => matches.map(decodeMatch))),
  })
}

/** The lists of a match, as far as they can be read. */
export function decodeMatch(message: Match): PolicyMatch {
  return {
    namespaces: decodeStrings(message.namespaces),
    notNamespaces: decodeStrings(message.notNamespaces),
    principals: decodeStrings(message.principals),
    notPrincipals: decodeStrings(message.notPrincipals),
    serviceAccounts: message.serviceAccounts.map(decodeAccount),
    notServiceAccounts: message.notServiceAccounts.map(decodeAccount),
    sourceIps: decodeBlocks(message.sourceIps),
    notSourceIps: decodeBlocks(message.notSourceIps),
    destinationIps: decodeBlocks(message.destinationIps),
    notDestinationIps: decodeBlocks(message.notDestinationIps),
    destinationPorts: message.destinationPorts.map(toPort),
    notDestinationPorts: message.notDestinationPorts.map(toPort),
  }
}

/** Without those that have no kind. */
export function decodeStrings(messages: readonly StringMatchMessage[]): readonly StringMatch[] {
  const matches: StringMatch[] = []
  for (const { matchType } of messages) {
    if (matchType.case === undefined) continue
    if (matchType.case === 'presence') matches.push({ kind: 'presence' })
    else matches.push({ kind: matchType.case, value: matchType.value })
  }
  return matches
}

/** Without those that are no blocks. */
export function decodeBlocks(messages: readonly Address[]): readonly string[] {
  return messages
    .map(({ address, length }) => policyBlockFromBytes(address, length))
    .filter((block) => block !== undefined)
}

function decodeAccount(message: { namespace: string; serviceAccount: string }): ServiceAccountMatch {
  return { namespace: message.namespace, serviceAccount: message.serviceAccount }
}
