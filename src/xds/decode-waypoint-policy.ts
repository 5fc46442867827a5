import { create, fromBinary } from '@bufbuild/protobuf'
import {
  type Address,
  MatchSchema,
  type StringMatch as StringMatchMessage,
} from '../gen/istio/security/authorization_pb.ts'
import {
  type PolicyMatch as PolicyMatchMessage,
  type PolicyPathMatch,
  PolicySchema,
  type PolicyTarget as PolicyTargetMessage,
} from '../gen/ztunnel/waypoint/policy_pb.ts'
import { CompiledWaypointPolicy } from '../mesh/http/compiled-waypoint-policy.ts'
import type { HttpPolicyMatch, PathMatch, PolicyTarget, WaypointPolicy } from '../mesh/http/policy-model.ts'
import type { PolicyMatch, StringMatch } from '../mesh/model.ts'
import { isServiceKey } from '../mesh/names.ts'
import { decodeEnum, invalid } from './decode-fields.ts'
import { decodeBlocks, decodeMatch, decodeStrings, POLICY_ACTIONS } from './decode-policy.ts'
import { XdsError } from './errors.ts'

/**
 * The bytes of a `ztunnel.waypoint.Policy` as the mesh model has them,
 * compiled. Throws `XdsError` (`invalid-resource`) for whatever cannot be
 * read, be it one value of a list: without it an ALLOW might allow more and a
 * DENY deny less. Both ends are of this project; there is nobody to be lenient
 * with.
 */
export function decodeWaypointPolicy(bytes: Uint8Array): WaypointPolicy {
  const message = reading(() => fromBinary(PolicySchema, bytes, { readUnknownFields: false }))
  const { name, namespace, dryRun } = message
  if (name === '' || namespace === '') throw invalid('a policy has no name or namespace')
  const policy: WaypointPolicy = {
    name,
    namespace,
    targets: message.targets.map(decodeTarget),
    action: decodeEnum(POLICY_ACTIONS, message.action, 'action'),
    dryRun,
    rules: message.rules.map(({ clauses }) => clauses.map(({ matches }) => matches.map(decodeHttpMatch))),
  }
  return reading(() => new CompiledWaypointPolicy(policy))
}

function decodeTarget({ target }: PolicyTargetMessage): PolicyTarget {
  switch (target.case) {
    case 'service': {
      if (!isServiceKey(target.value)) {
        throw invalid(`failed to parse target "${target.value}": expected namespace/hostname`)
      }
      return { kind: 'service', service: target.value }
    }
    case 'gateway':
      return { kind: 'gateway', namespace: target.value.namespace, name: target.value.name }
    case 'gatewayClass':
      return { kind: 'gatewayClass', name: target.value }
    case undefined:
      throw invalid('unknown kind of target')
  }
}

function decodeHttpMatch(message: PolicyMatchMessage): HttpPolicyMatch {
  return {
    ...decodeConnection(message),
    trustDomains: strings(message.trustDomains, 'trust_domains'),
    notTrustDomains: strings(message.notTrustDomains, 'not_trust_domains'),
    remoteIps: blocks(message.remoteIps, 'remote_ips'),
    notRemoteIps: blocks(message.notRemoteIps, 'not_remote_ips'),
    serverNames: strings(message.serverNames, 'server_names'),
    notServerNames: strings(message.notServerNames, 'not_server_names'),
    hosts: strings(message.hosts, 'hosts'),
    notHosts: strings(message.notHosts, 'not_hosts'),
    methods: strings(message.methods, 'methods'),
    notMethods: strings(message.notMethods, 'not_methods'),
    paths: message.paths.map((path) => decodePath(path, 'paths')),
    notPaths: message.notPaths.map((path) => decodePath(path, 'not_paths')),
    headers: message.headers.map(({ name, values, notValues }) => {
      if (name === '' || name !== name.toLowerCase()) {
        throw invalid(`header name "${name}": expected one in lower case`)
      }
      return {
        name,
        values: strings(values, `header ${name}`),
        notValues: strings(notValues, `header ${name}`),
      }
    }),
    unsupported: message.unsupported,
  }
}

function decodeConnection({ connection }: PolicyMatchMessage): PolicyMatch {
  const message = connection ?? create(MatchSchema)
  const match = decodeMatch(message)
  for (const list of Object.keys(match) as (keyof PolicyMatch)[]) {
    if (match[list].length !== message[list].length) throw unreadable(`connection.${list}`)
  }
  return match
}

function decodePath({ match }: PolicyPathMatch, field: string): PathMatch {
  if (match.case === 'template') return { kind: 'template', value: match.value }
  const [text] = match.case === 'text' ? decodeStrings([match.value]) : []
  if (text === undefined) throw unreadable(field)
  return text
}

function strings(messages: readonly StringMatchMessage[], field: string): readonly StringMatch[] {
  const matches = decodeStrings(messages)
  if (matches.length !== messages.length) throw unreadable(field)
  return matches
}

function blocks(messages: readonly Address[], field: string): readonly string[] {
  const found = decodeBlocks(messages)
  if (found.length !== messages.length) throw unreadable(field)
  return found
}

function unreadable(field: string): XdsError {
  return invalid(`${field} has a value that cannot be read`)
}

function reading<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new XdsError('invalid-resource', `failed to decode: ${reason}`, { cause })
  }
}
