import { formatSocketAddress } from './addresses.ts'
import { identityUri } from './identity.ts'
import type { Route, RouteStep } from './route.ts'
import type { FieldResult, PolicyContext, PolicyResult, UnmatchedPolicies, Verdict } from './verdict.ts'

/** A route for people: its steps in order, then the outcome; one line each. */
export function explainRoute(route: Route): readonly string[] {
  return [...explainSteps(route.steps), `=> ${routeOutcome(route)}`]
}

/** One line for each step. */
export function explainSteps(steps: readonly RouteStep[]): readonly string[] {
  return steps.map(({ step, detail }) => `${step}: ${detail}`)
}

/** A verdict for people: the decision, then every policy with what its matches compared. */
export function explainVerdict(verdict: Verdict): readonly string[] {
  return [explainDecision(verdict), ...explainPolicies(verdict.tree())]
}

/** The decision in one line: Istio's sentence, and the rule that made it, or the policies of which no rule matched. */
export function explainDecision({
  allowed,
  message,
  rule,
  unmatched,
}: Pick<Verdict, 'allowed' | 'message' | 'unmatched'> & { readonly rule?: number | undefined }): string {
  const what = `${allowed ? 'allowed' : 'denied'}: ${message}`
  if (rule !== undefined) return `${what}, rule ${rule}`
  return unmatched === undefined ? what : `${what}: no rule matches in ${explainUnmatched(unmatched)}`
}

/** `ns/a, ns/b and 3 more`. */
export function explainUnmatched({ names, total }: UnmatchedPolicies): string {
  const more = total - names.length
  return more === 0 ? names.join(', ') : `${names.join(', ')} and ${more} more`
}

/** Whom and what policies saw, one line: the identity, or that there was none; both addresses, and the port. */
export function explainSubject({
  sourceIdentity,
  sourceAddress,
  destinationAddress,
  destinationPort,
}: PolicyContext): string {
  const who = sourceIdentity === undefined ? 'no identity' : identityUri(sourceIdentity)
  const target = formatSocketAddress({ address: destinationAddress, port: destinationPort })
  return `${who} from ${sourceAddress} to ${target}`
}

/** Policies as they judged one connection, with what their matches compared. */
export function explainPolicies(results: readonly PolicyResult[]): readonly string[] {
  return results.flatMap(explainResult)
}

/** What a route comes to, one line. */
export function routeOutcome(route: Route): string {
  switch (route.kind) {
    case 'hbone':
      return `HBONE to ${route.via} ${formatSocketAddress(route.dial)}, CONNECT ${route.authority}, expecting ${route.expectedIdentities.join(' or ')}`
    case 'double-hbone':
      return `HBONE to gateway ${formatSocketAddress(route.dial)}, expecting ${route.expectedIdentities.join(' or ')}, and within it HBONE, CONNECT ${route.authority}, expecting ${route.innerIdentities.join(' or ')}`
    case 'tcp':
      return `TCP to ${formatSocketAddress(route.dial)}`
    case 'passthrough':
      return `passthrough to ${formatSocketAddress(route.dial)}`
    case 'refused':
      return `refused (${route.code}): ${route.message}`
  }
}

function explainResult({ policy, action, dryRun, matched, rules }: PolicyResult): readonly string[] {
  const title = `${action} ${policy}${dryRun ? ' (dry run)' : ''}: ${outcome(matched)}`
  const lines = rules.flatMap((rule, r) => [
    `  rule ${r + 1}: ${outcome(rule.matched)}`,
    ...rule.clauses.flatMap((clause, c) => [
      `    clause ${c + 1}: ${outcome(clause.matched)}`,
      ...clause.matches.flatMap((match, m) => [
        `      match ${m + 1}: ${match.empty ? 'empty, never matches' : outcome(match.matched)}`,
        ...match.fields.map((field) => `        ${explainField(field)}`),
      ]),
    ]),
  ])
  return [title, ...lines]
}

function explainField({ field, matched, actual, expected }: FieldResult): string {
  return `${field}: "${actual}" against ${expected.join(', ')}: ${matched ? 'holds' : 'fails'}`
}

function outcome(matched: boolean): string {
  return matched ? 'matches' : 'does not match'
}
