import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { Action } from '../gen/istio/security/authorization_pb.ts'
import {
  type PolicyMatchSchema,
  type PolicyPathMatchSchema,
  PolicySchema,
  type PolicyTargetSchema,
} from '../gen/ztunnel/waypoint/policy_pb.ts'
import type { HttpPolicyMatch, PathMatch, PolicyTarget, WaypointPolicy } from '../mesh/http/policy-model.ts'
import { encodeMatch, encodeString } from './encode.ts'
import { cidrToBytes } from './ip-bytes.ts'

/** A policy as the bytes of a `ztunnel.waypoint.Policy`: equal policies give equal bytes. */
export function encodeWaypointPolicy(policy: WaypointPolicy): Uint8Array<ArrayBuffer> {
  const message = create(PolicySchema, {
    name: policy.name,
    namespace: policy.namespace,
    targets: policy.targets.map(encodeTarget),
    action: Action[policy.action],
    dryRun: policy.dryRun,
    rules: policy.rules.map((clauses) => ({
      clauses: clauses.map((matches) => ({ matches: matches.map(encodeHttpMatch) })),
    })),
  })
  return toBinary(PolicySchema, message)
}

function encodeTarget(target: PolicyTarget): MessageInitShape<typeof PolicyTargetSchema> {
  switch (target.kind) {
    case 'service':
      return { target: { case: 'service', value: target.service } }
    case 'gateway':
      return { target: { case: 'gateway', value: { namespace: target.namespace, name: target.name } } }
    case 'gatewayClass':
      return { target: { case: 'gatewayClass', value: target.name } }
  }
}

function encodeHttpMatch(match: HttpPolicyMatch): MessageInitShape<typeof PolicyMatchSchema> {
  const connection = encodeMatch(match)
  const isOfConnection = Object.values(connection).some((list) => Array.isArray(list) && list.length > 0)
  return {
    ...(isOfConnection && { connection }),
    trustDomains: match.trustDomains.map(encodeString),
    notTrustDomains: match.notTrustDomains.map(encodeString),
    remoteIps: match.remoteIps.map(cidrToBytes),
    notRemoteIps: match.notRemoteIps.map(cidrToBytes),
    serverNames: match.serverNames.map(encodeString),
    notServerNames: match.notServerNames.map(encodeString),
    hosts: match.hosts.map(encodeString),
    notHosts: match.notHosts.map(encodeString),
    methods: match.methods.map(encodeString),
    notMethods: match.notMethods.map(encodeString),
    paths: match.paths.map(encodePath),
    notPaths: match.notPaths.map(encodePath),
    headers: match.headers.map(({ name, values, notValues }) => ({
      ...{ name, values: values.map(encodeString), notValues: notValues.map(encodeString) },
    })),
    unsupported: [...match.unsupported],
  }
}

function encodePath(path: PathMatch): MessageInitShape<typeof PolicyPathMatchSchema> {
  return path.kind === 'template'
    ? { match: { case: 'template', value: path.value } }
    : { match: { case: 'text', value: encodeString(path) } }
}
