// Routes that are refused, with what is wrong and where: `file:line:field`.
import t from 'tap'
import { parseFile } from './parse.ts'
import { formatProblem } from './problem.ts'

t.test('a mistake in an HTTPRoute is found where it stands', async (t) => {
  const cases: readonly (readonly [string, string])[] = [
    ['{match: []}', 'spec.rules[0].match: unknown field'],
    [
      '{matches: [{path: {value: a}}]}',
      'spec.rules[0].matches[0].path.value: expected a path that begins with "/"',
    ],
    ['{matches: [{path: {value: /a//b}}]}', 'spec.rules[0].matches[0].path.value: expected a path'],
    ['{matches: [{path: {value: /a/../b}}]}', 'spec.rules[0].matches[0].path.value: expected a path'],
    ['{matches: [{path: {value: /a%2Fb}}]}', 'spec.rules[0].matches[0].path.value: expected a path'],
    [
      '{matches: [{path: {type: Regex, value: /a}}]}',
      'spec.rules[0].matches[0].path.type: expected Exact, PathPrefix',
    ],
    [
      '{matches: [{path: {type: RegularExpression, value: "(a)\\\\1"}}]}',
      'spec.rules[0].matches[0].path.value: "(a)\\1" is no RE2 regular expression',
    ],
    ['{matches: [{method: get}]}', 'spec.rules[0].matches[0].method: expected GET'],
    [
      '{matches: [{headers: [{name: ":method", value: a}]}]}',
      'spec.rules[0].matches[0].headers[0].name: expected',
    ],
    [
      '{matches: [{headers: [{name: a, value: 1}]}]}',
      'spec.rules[0].matches[0].headers[0].value: expected text',
    ],
    ['{filters: [{type: Redirect}]}', 'spec.rules[0].filters[0].type: expected one of RequestHeaderModifier'],
    [
      '{filters: [{type: URLRewrite}]}',
      'spec.rules[0].filters[0]: a filter of type URLRewrite needs urlRewrite',
    ],
    [
      '{filters: [{type: URLRewrite, urlRewrite: {}, requestRedirect: {}}]}',
      'spec.rules[0].filters[0].requestRedirect: a filter of type URLRewrite has no requestRedirect',
    ],
    [
      '{filters: [{type: URLRewrite, urlRewrite: {}}, {type: RequestRedirect, requestRedirect: {}}]}',
      'spec.rules[0].filters: expected RequestRedirect or URLRewrite, not both',
    ],
    [
      '{filters: [{type: URLRewrite, urlRewrite: {}}, {type: URLRewrite, urlRewrite: {}}]}',
      'spec.rules[0].filters[1]: URLRewrite can stand here once',
    ],
    [
      '{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: Content-Length, value: "1"}]}}]}',
      'spec.rules[0].filters[0].requestHeaderModifier.set[0].name: this header is about one connection',
    ],
    [
      '{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: "1"}], remove: [A]}}]}',
      'spec.rules[0].filters[0].requestHeaderModifier: header a is changed twice',
    ],
    [
      '{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: "1\\r\\nb: c"}]}}]}',
      'spec.rules[0].filters[0].requestHeaderModifier.set[0].value: expected text without line breaks',
    ],
    [
      '{filters: [{type: RequestRedirect, requestRedirect: {statusCode: 200}}]}',
      'spec.rules[0].filters[0].requestRedirect.statusCode: expected 301',
    ],
    [
      '{filters: [{type: RequestRedirect, requestRedirect: {}}], backendRefs: [{name: a, port: 80}]}',
      'spec.rules[0].backendRefs: expected none beside RequestRedirect',
    ],
    [
      '{matches: [{path: {type: Exact, value: /a}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]}',
      'spec.rules[0].matches: ReplacePrefixMatch needs path matches of type PathPrefix',
    ],
    [
      '{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 80}, percent: 1, fraction: {numerator: 1}}}]}',
      'spec.rules[0].filters[0].requestMirror: expected percent or fraction, not both',
    ],
    [
      '{backendRefs: [{name: a, port: 80, weight: -1}]}',
      'spec.rules[0].backendRefs[0].weight: expected a weight',
    ],
    ['{backendRefs: [{name: a, port: http}]}', 'spec.rules[0].backendRefs[0].port: expected a port number'],
    ['{timeouts: {request: 10}}', 'spec.rules[0].timeouts.request: expected a duration such as 10s'],
    ['{timeouts: {request: 1.5s}}', 'spec.rules[0].timeouts.request: expected a duration such as 10s'],
    [
      '{timeouts: {request: 1s, backendRequest: 2s}}',
      'spec.rules[0].timeouts.backendRequest: expected no more than',
    ],
    ['{retry: {attempts: 0}}', 'spec.rules[0].retry.attempts: expected at least 1'],
    ['{retry: {codes: ["500"]}}', 'spec.rules[0].retry.codes[0]: expected a status from 400 to 599'],
  ]
  for (const [rule, problem] of cases) {
    t.ok(problemOf('HTTPRoute', rule).startsWith(`r.yaml:5:`), `the line of ${rule}`)
    t.match(problemOf('HTTPRoute', rule), problem, rule)
  }
})

t.test('a mistake in a GRPCRoute, and what it has not', async (t) => {
  const cases: readonly (readonly [string, string])[] = [
    ['{matches: [{method: {}}]}', 'spec.rules[0].matches[0].method: expected a service, a method, or both'],
    [
      '{matches: [{method: {service: a/b}}]}',
      'spec.rules[0].matches[0].method.service: expected a name such as',
    ],
    [
      '{matches: [{method: {method: "*"}}]}',
      'spec.rules[0].matches[0].method.method: expected a name such as',
    ],
    ['{matches: [{path: {value: /}}]}', 'spec.rules[0].matches[0].path: unknown field'],
    [
      '{filters: [{type: URLRewrite}]}',
      'spec.rules[0].filters[0].type: expected one of RequestHeaderModifier',
    ],
    ['{timeouts: {request: 1s}}', 'spec.rules[0].timeouts: unknown field'],
  ]
  for (const [rule, problem] of cases) t.match(problemOf('GRPCRoute', rule), problem, rule)
})

t.test('zero is no timeout, and an odd duration is its sum', async (t) => {
  const timeoutsOf = (text: string) => {
    const [entry] = parse('HTTPRoute', `{timeouts: ${text}}`).objects
    return entry?.object.kind === 'HTTPRoute' ? entry.object.spec.rules[0]?.timeouts : undefined
  }
  t.strictSame(timeoutsOf('{request: 0s, backendRequest: 1s}'), {
    requestMs: undefined,
    backendRequestMs: 1_000,
  })
  t.strictSame(timeoutsOf('{request: 1h1m1s1ms}'), { requestMs: 3_661_001, backendRequestMs: undefined })
})

t.test('more matches than the Gateway API allows are refused', async (t) => {
  const many = `{matches: [${Array.from({ length: 64 }, (_, index) => `{path: {value: /${index}}}`).join()}]}`
  t.strictSame(parse('HTTPRoute', `${many}, ${many}`).problems, [])
  t.match(
    problemOf('HTTPRoute', `${many}, ${many}, {}`),
    'spec.rules: expected at most 128 matches in all, got 129',
  )
})

function problemOf(kind: string, rule: string): string {
  const [problem] = parse(kind, rule).problems
  return problem === undefined ? 'none' : formatProblem(problem)
}

function parse(kind: string, rules: string) {
  return parseFile(
    'r.yaml',
    `apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: {name: route, namespace: foo}
spec:
  rules: [${rules}]
`,
  )
}
