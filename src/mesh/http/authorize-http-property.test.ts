import fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import t from 'tap'
import type { StringMatch } from '../model.ts'
import type { Verdict } from '../verdict.ts'
import { authorizeHttp } from './authorize-http.ts'
import type { WaypointPolicyContext } from './http-subject.ts'
import type { HttpPolicyMatch, PathMatch, WaypointPolicy } from './policy-model.ts'
import { aWaypointMatch, aWaypointPolicy } from './policy-test-support.ts'
import type { HttpRequestHead } from './request.ts'
import { hostForms, pathForms } from './request-forms.ts'

const RUNS = 4000

// The definition, as plainly as it can be written, for requests that have one
// form only: Istio's. Of another protocol than HTTP, Istio's words are followed
// literally: ALLOW rules with HTTP fields are dropped, DENY rules lose them.

function naive(policies: readonly WaypointPolicy[], context: WaypointPolicyContext, head?: HttpRequestHead) {
  const enforced = policies.filter(({ dryRun }) => !dryRun)
  const matching = (action: 'ALLOW' | 'DENY') =>
    enforced.filter((policy) => policy.action === action && matches(policy, context, head))
  if (matching('DENY').length > 0) return 'explicitly-denied'
  if (!enforced.some(({ action }) => action === 'ALLOW')) return 'no-allow-policies'
  return matching('ALLOW').length > 0 ? 'explicitly-allowed' : 'allow-policies-but-none-matched'
}

function matches({ rules, action }: WaypointPolicy, context: WaypointPolicyContext, head?: HttpRequestHead) {
  const kept = rules.filter((rule) => head !== undefined || action === 'DENY' || !rule.flat().some(isOfHttp))
  return kept.some((clauses) =>
    clauses.every(
      (entries) =>
        entries.length === 0 ||
        entries.some((entry) => {
          const results = fieldResults(entry, context, head, action)
          return results.some((result) => result !== 'empty') && !results.includes('fails')
        }),
    ),
  )
}

type Result = 'empty' | 'holds' | 'fails'

const HTTP_LISTS = ['hosts', 'notHosts', 'methods', 'notMethods', 'paths', 'notPaths', 'unsupported'] as const

function isOfHttp(match: HttpPolicyMatch): boolean {
  return HTTP_LISTS.some((list) => match[list].length > 0) || match.headers.length > 0
}

function fieldResults(
  match: HttpPolicyMatch,
  context: WaypointPolicyContext,
  head: HttpRequestHead | undefined,
  action: 'ALLOW' | 'DENY',
): readonly Result[] {
  const id = context.sourceIdentity
  const principal = id && `${id.trustDomain}/ns/${id.namespace}/sa/${id.serviceAccount}`
  const inBlock = (block: string, address: string) => ipaddr.parse(address).match(ipaddr.parseCIDR(block))
  const remote = context.remoteAddress ?? context.sourceAddress
  const of = (text: string | undefined) => (value: StringMatch) => text !== undefined && hits(value, text)
  const connection = [
    kind(match.namespaces, match.notNamespaces, of(id?.namespace ?? '')),
    kind(match.principals, match.notPrincipals, of(principal)),
    kind(match.trustDomains, match.notTrustDomains, of(id?.trustDomain ?? '')),
    kind(match.serverNames, match.notServerNames, of(context.serverName ?? '')),
    kind(match.sourceIps, match.notSourceIps, (block) => inBlock(block, context.sourceAddress)),
    kind(match.remoteIps, match.notRemoteIps, (block) => inBlock(block, remote)),
    kind(match.destinationPorts, match.notDestinationPorts, (port) => port === context.destinationPort),
  ]
  const unknown: Result = match.unsupported.length === 0 ? 'empty' : action === 'DENY' ? 'holds' : 'fails'
  if (head === undefined) return [...connection, isOfHttp(match) ? 'holds' : 'empty']
  const [path = ''] = head.path.split('?')
  const lower = (value: StringMatch): StringMatch =>
    value.kind === 'presence' ? value : { ...value, value: value.value.toLowerCase() }
  const named = (name: string) => head.headers[head.headers.indexOf(name) + 1]
  return [
    ...connection,
    unknown,
    kind(match.hosts, match.notHosts, (value) => hits(lower(value), head.authority)),
    kind(match.methods, match.notMethods, of(head.method)),
    kind(match.paths, match.notPaths, (value: PathMatch) => hitsPath(value, path)),
    ...match.headers.map(({ name, values, notValues }) =>
      kind(values, notValues, of(head.headers.includes(name) ? named(name) : undefined)),
    ),
  ]
}

function kind<T>(positive: readonly T[], negative: readonly T[], hits: (value: T) => boolean): Result {
  if (positive.length === 0 && negative.length === 0) return 'empty'
  return (positive.length === 0 || positive.some(hits)) && !negative.some(hits) ? 'holds' : 'fails'
}

function hits(match: StringMatch, text: string): boolean {
  if (match.kind === 'presence') return text.length > 0
  const source = match.value.replace(/[.*]/g, '\\$&')
  const [before, after] = [match.kind === 'suffix' ? '.*' : '', match.kind === 'prefix' ? '.*' : '']
  return new RegExp(`^${before}${source}${after}$`).test(text)
}

function hitsPath(match: PathMatch, path: string): boolean {
  if (match.kind !== 'template') return hits(match, path)
  return new RegExp(`^${match.value.replace('{**}', '.*').replaceAll('{*}', '[^/]+')}$`).test(path)
}

// Few values, so that they hit often.
const some = <T>(item: fc.Arbitrary<T>, maxLength = 2): fc.Arbitrary<T[]> => fc.array(item, { maxLength })
const list = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(item, { minLength: 1, maxLength: 2 })
const texts = (...values: string[]): fc.Arbitrary<StringMatch> =>
  fc.oneof(
    fc.record({
      kind: fc.constantFrom('exact' as const, 'prefix' as const, 'suffix' as const),
      value: fc.constantFrom(...values),
    }),
    fc.constant({ kind: 'presence' as const }),
  )
const templates = fc.constantFrom('/{*}', '/a/{*}', '/a/{**}', '/{**}/b', '/{*}/b').map(
  (value): PathMatch => ({
    kind: 'template',
    value,
  }),
)
const path: fc.Arbitrary<PathMatch> = fc.oneof(texts('/a', '/a/', '/b', '/a/b', '/'), templates)
const header = fc.record({
  name: fc.constantFrom('x', 'y'),
  values: list(texts('1', '2', '12')),
  notValues: some(texts('1', '21')),
})
const FIELDS = {
  hosts: list(texts('A', 'a.b', 'b')),
  notHosts: list(texts('a', 'a.B')),
  methods: list(texts('GET', 'PUT')),
  notMethods: list(texts('GET', 'P')),
  paths: list(path),
  notPaths: list(path),
  headers: list(header),
  unsupported: fc.constant(['requestPrincipals']),
  namespaces: list(texts('a', 'ab')),
  notNamespaces: list(texts('b')),
  principals: list(texts('td/ns/a/sa/b', 'td/')),
  trustDomains: list(texts('td')),
  notTrustDomains: list(texts('x')),
  serverNames: list(texts('s')),
  notServerNames: list(texts('s', 't')),
  sourceIps: list(fc.constantFrom('10.0.0.0/8', '10.0.0.1/32')),
  remoteIps: list(fc.constantFrom('192.0.2.0/24', '10.0.0.1/32')),
  notRemoteIps: list(fc.constantFrom('192.0.2.0/24')),
  destinationPorts: list(fc.constantFrom(80, 81)),
}
const match = fc
  .subarray(Object.keys(FIELDS) as (keyof typeof FIELDS)[], { maxLength: 3 })
  .chain((fields) => fc.record(Object.fromEntries(fields.map((field) => [field, FIELDS[field]]))))
  .map((lists) => aWaypointMatch(lists))
const policy = fc
  .record({
    name: fc.constantFrom('p', 'q', 'r', 's'),
    action: fc.constantFrom('ALLOW' as const, 'DENY' as const),
    dryRun: fc.boolean(),
    rules: some(some(some(match))),
  })
  .map((parts) => aWaypointPolicy(parts))
const policies = fc.uniqueArray(policy, { maxLength: 4, selector: ({ name }) => name })
const identity = fc.record({
  trustDomain: fc.constantFrom('td', 'x'),
  namespace: fc.constantFrom('a', 'ab', 'b'),
  serviceAccount: fc.constantFrom('b', 'c'),
})
const context: fc.Arbitrary<WaypointPolicyContext> = fc.record({
  sourceIdentity: fc.option(identity, { nil: undefined }),
  sourceAddress: fc.constantFrom('10.0.0.1', '10.0.0.2', '192.0.2.1'),
  destinationAddress: fc.constant('10.96.0.1'),
  destinationPort: fc.constantFrom(80, 81),
  remoteAddress: fc.constantFrom(undefined, '192.0.2.9'),
  serverName: fc.constantFrom(undefined, 's'),
})
const headers = fc
  .subarray(['x', 'y'])
  .chain((names) =>
    fc.tuple(...names.map((name) => fc.tuple(fc.constant(name), fc.constantFrom('1', '2', '12', '')))),
  )
  .map((fields) => fields.flat())
const plain: fc.Arbitrary<HttpRequestHead> = fc.record({
  method: fc.constantFrom('GET', 'PUT', 'POST'),
  scheme: fc.constant('http' as const),
  authority: fc.constantFrom('a', 'a.b', 'c'),
  path: fc.constantFrom('/', '/a', '/a/', '/a/b', '/b', '/a?b', '/c/b', '/a/b/c'),
  headers: headers.map((fields) => fields.filter((_, index) => fields[index | 1] !== '')),
})

t.test('the evaluator says what the definition says', async (t) => {
  const reasons = new Map<string, number>()
  const request = fc.option(plain, { nil: undefined, freq: 3 })
  fc.assert(
    fc.property(policies, context, request, (policies, context, head) => {
      const verdict = authorizeHttp(policies, context, head)
      const expected = naive(policies, context, head)
      reasons.set(expected, (reasons.get(expected) ?? 0) + 1)
      return verdict.reason === expected && treeAgrees(verdict)
    }),
    { numRuns: RUNS },
  )
  t.equal(reasons.size, 4, 'every outcome came up')
  for (const [reason, times] of reasons) t.ok(times > RUNS / 50, `${reason}: ${times} of ${RUNS}`)
})

t.test('a request that is let in would be in every form of its path and host', async (t) => {
  const piece = fc.constantFrom(
    '/',
    'a',
    'b',
    '/a',
    '/../',
    '/./',
    '%2F',
    '%2e',
    '%61',
    '\\',
    ';',
    '..;',
    '%25',
  )
  const odd = fc.record({
    ...{ path: fc.array(piece, { maxLength: 6 }).map((pieces) => `/${pieces.join('')}`) },
    ...{ authority: fc.constantFrom('A', 'a.', 'a:80', 'A.b.:80', 'a.b') },
  })
  let [letIn, ofSeveralForms] = [0, 0]
  fc.assert(
    fc.property(policies, context, plain, odd, (policies, context, head, { path, authority }) => {
      if (!authorizeHttp(policies, context, { ...head, path, authority }).allowed) return true
      letIn++
      // What lets in goes by Istio's own form of a host; what refuses by all.
      const denies = policies.filter(({ action }) => action === 'DENY')
      const inPaths = pathForms(path).every(
        (path) => authorizeHttp(policies, context, { ...head, path, authority }).allowed,
      )
      const inHosts = hostForms(authority).every(
        (authority) => authorizeHttp(denies, context, { ...head, path, authority }).allowed,
      )
      if (pathForms(path).length > 1) ofSeveralForms++
      return inPaths && inHosts
    }),
    { numRuns: RUNS },
  )
  t.ok(letIn > RUNS / 20 && ofSeveralForms > RUNS / 50, `${letIn} let in, ${ofSeveralForms} of several forms`)
})

/** The tree is another way through the same policies: the decider's rule is its first that matches. */
function treeAgrees(verdict: Verdict): boolean {
  const decider = verdict.tree().find(({ policy }) => policy === verdict.policy)
  if (decider === undefined) return verdict.policy === undefined
  return decider.matched && decider.rules.findIndex(({ matched }) => matched) + 1 === verdict.rule
}
