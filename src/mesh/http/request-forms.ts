import { mergeSlashes, normalizePath, removeDotSegments } from './normalize-path.ts'
import { type HttpRequestHead, headerValue, headerValues, hostOf, splitPath } from './request.ts'

/**
 * What a policy compares of a request, in every form that a server behind the
 * waypoint might take it for; the first is Istio's. What refuses must match
 * any of them, what lets in all: a way of writing a path that only the server
 * understands gets nobody past a DENY, nor in by an ALLOW.
 */
export type Forms = readonly string[]

/**
 * The path in its forms: normalized (RFC 3986), with slashes merged, and as
 * servers read it that decode all of it, or merge slashes or drop parameters
 * (`;x`) before they look for `..`. None for a path that cannot be normalized.
 */
export function pathForms(target: string): Forms {
  const { path } = splitPath(target)
  const base = normalizePath(path)
  if (base === undefined) return []
  if (!AMBIGUOUS.test(path)) return [base]
  const decoded = decodeAll(path).replaceAll('\\', '/')
  const bare = decoded.replace(/;[^/]*/g, '')
  return [...new Set([base, mergeSlashes(base), ...laxly(decoded), ...laxly(bare)])]
}

/** The authority in lower case; without port and final dot; with the port and without the dot. */
export function hostForms(authority: string): Forms {
  if (authority === '') return []
  const given = authority.toLowerCase()
  const host = hostOf(given)
  const [port = ''] = /:\d*$/.exec(given) ?? []
  return [...new Set([given, host, host + port])]
}

/** Case counts (RFC 9110 section 9.1), but servers are known that do not care. */
export function methodForms(method: string): Forms {
  const upper = method.toUpperCase()
  return upper === method ? [method] : [method, upper]
}

/**
 * The value of a header: repeated ones joined, as Istio does (RFC 9110 section
 * 5.2), and each by itself, since a server may go by the first or the last.
 * Names are in lower case; `:authority` and `:method` are headers, too.
 */
export function headerForms(head: HttpRequestHead, name: string): Forms {
  if (name === ':authority' || name === 'host') return head.authority === '' ? [] : [head.authority]
  if (name === ':method') return [head.method]
  if (name === ':path') return [head.path]
  if (name === ':scheme') return [head.scheme]
  const values = headerValues(head.headers, name)
  return values.length <= 1 ? values : [headerValue(head.headers, name) ?? '', ...values]
}

/** Without any of these a path has one form. */
const AMBIGUOUS = /[%;\\]|\/\//
/** Times that an octet is taken for encoded: `%252561` is `a` to nobody. */
const DECODINGS = 3

/** Slashes may be merged before or after dot segments go: `/a//../b` is `/b` or `/a/b`. */
function laxly(path: string): Forms {
  return [removeDotSegments(mergeSlashes(path)), mergeSlashes(removeDotSegments(path))]
}

function decodeAll(path: string): string {
  let decoded = path
  for (let round = 0; round < DECODINGS && decoded.includes('%'); round++) {
    decoded = decoded.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
  }
  return decoded
}
