import { EMPTY_HTTP_MATCH } from '../../mesh/http/empty-match.ts'
import { isPathTemplate } from '../../mesh/http/path-template.ts'
import type { HttpPolicyMatch, PathMatch } from '../../mesh/http/policy-model.ts'
import type { PolicyCondition, PolicyOperation, PolicyRule, PolicySource } from './objects.ts'
import {
  conditionMatch,
  operationMatch,
  sourceMatch,
  toAccount,
  toBlocks,
  toMatch,
  toMatches,
} from './rule-matches.ts'
import type { RuleContext } from './translate-rule.ts'

/**
 * The clauses of one rule as a waypoint enforces it, all of which must hold:
 * one for its operations, one for its sources, one for each condition. Fields
 * that nothing here can judge by are reported, and kept by name.
 */
export function translateWaypointRule(
  rule: PolicyRule,
  context: RuleContext,
): readonly (readonly HttpPolicyMatch[])[] {
  const clauses: (readonly HttpPolicyMatch[])[] = []
  if (rule.to !== undefined) clauses.push(rule.to.map(({ operation }) => fromOperation(operation)))
  if (rule.from !== undefined) {
    clauses.push(rule.from.map(({ source }, index) => fromSource(source, `.from[${index}].source`, context)))
  }
  for (const [index, when] of (rule.when ?? []).entries()) {
    clauses.push([fromCondition(when, `.when[${index}].key`, context)])
  }
  return clauses
}

function fromOperation(operation: PolicyOperation): HttpPolicyMatch {
  return {
    ...EMPTY_HTTP_MATCH,
    ...operationMatch(operation),
    hosts: toMatches(operation.hosts),
    notHosts: toMatches(operation.notHosts),
    methods: toMatches(operation.methods),
    notMethods: toMatches(operation.notMethods),
    paths: (operation.paths ?? []).map(toPath),
    notPaths: (operation.notPaths ?? []).map(toPath),
  }
}

function fromSource(source: PolicySource, field: string, context: RuleContext): HttpPolicyMatch {
  const names = (['requestPrincipals', 'notRequestPrincipals'] as const).filter(
    (name) => source[name] !== undefined,
  )
  for (const name of names) context.warn(`${field}.${name}`, notJudged(NO_JWT, context))
  return {
    ...EMPTY_HTTP_MATCH,
    ...sourceMatch(source, context),
    trustDomains: toMatches(source.trustDomains),
    notTrustDomains: toMatches(source.notTrustDomains),
    remoteIps: toBlocks(source.remoteIpBlocks),
    notRemoteIps: toBlocks(source.notRemoteIpBlocks),
    unsupported: names,
  }
}

function fromCondition(when: PolicyCondition, field: string, context: RuleContext): HttpPolicyMatch {
  const { key, values = [], notValues = [] } = when
  const connection = conditionMatch(when, context.trustDomains)
  if (connection !== undefined) return { ...EMPTY_HTTP_MATCH, ...connection }
  const [, header] = HEADER_KEY.exec(key) ?? []
  if (header !== undefined) {
    const name = header.toLowerCase()
    return {
      ...EMPTY_HTTP_MATCH,
      headers: [{ name, values: toMatches(values), notValues: toMatches(notValues) }],
    }
  }
  switch (key) {
    case 'remote.ip':
      return { ...EMPTY_HTTP_MATCH, remoteIps: toBlocks(values), notRemoteIps: toBlocks(notValues) }
    case 'source.serviceAccount': {
      const accounts = (names: readonly string[]) => names.map((name) => toAccount(name, context.namespace))
      return {
        ...EMPTY_HTTP_MATCH,
        serviceAccounts: accounts(values),
        notServiceAccounts: accounts(notValues),
      }
    }
    case 'connection.sni':
      return { ...EMPTY_HTTP_MATCH, serverNames: toMatches(values), notServerNames: toMatches(notValues) }
    default: {
      const why = key.startsWith('request.auth.') ? NO_JWT : `${key} is not known here`
      context.warn(field, notJudged(why, context))
      return { ...EMPTY_HTTP_MATCH, unsupported: [key] }
    }
  }
}

const NO_JWT = 'no JWT is verified here'
const HEADER_KEY = /^request\.headers\[([^[\]]+)\]$/

function notJudged(why: string, { action }: RuleContext): string {
  return action === 'ALLOW'
    ? `${why}: what asks for it never matches, and is not allowed by it`
    : `${why}: left out of the rule, which denies the more`
}

function toPath(text: string): PathMatch {
  return isPathTemplate(text) ? { kind: 'template', value: text } : toMatch(text)
}
