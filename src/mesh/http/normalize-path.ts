/**
 * How far a path is made plain before policies and routes see it, and before
 * it is sent on: Istio's `meshConfig.pathNormalization`.
 *
 * | level | what it does |
 * |---|---|
 * | `NONE` | nothing |
 * | `BASE` | RFC 3986 section 6.2.2: dot segments go, `%61` becomes `a`, `%2f` becomes `%2F`; and `\` becomes `/` |
 * | `MERGE_SLASHES` | after that, `//` becomes `/` |
 * | `DECODE_AND_MERGE_SLASHES` | before all that, `%2F` and `%5C` become slashes |
 *
 * An encoded slash is data up to the last level, as RFC 3986 section 2.2 has
 * it: `/a%2Fb` is one segment.
 */
export type PathNormalization = 'NONE' | 'BASE' | 'MERGE_SLASHES' | 'DECODE_AND_MERGE_SLASHES'

/** Istio's default. */
export const DEFAULT_PATH_NORMALIZATION: PathNormalization = 'BASE'

/**
 * The normalized form of a path (without query). Undefined for what cannot be
 * told what it is, to be answered by 400 as Istio does: it does not begin with
 * a slash, or has control characters, blanks, a `#` or `%00` in it. `*`, of
 * OPTIONS, stays. Decodes once: `%2561` becomes `%2561`, not `a`.
 */
export function normalizePath(
  path: string,
  level: PathNormalization = DEFAULT_PATH_NORMALIZATION,
): string | undefined {
  if (path === '*') return path
  if (UNUSABLE.test(path)) return undefined
  if (level === 'NONE') return path.startsWith('/') ? path : undefined
  const given = level === 'DECODE_AND_MERGE_SLASHES' ? path.replace(ENCODED_SLASH, '/') : path
  const slashed = given.replaceAll('\\', '/')
  if (!slashed.startsWith('/')) return undefined
  const plain = removeDotSegments(slashed.replace(PERCENT_ENCODED, plainOctet))
  return level === 'BASE' ? plain : mergeSlashes(plain)
}

/** `//` becomes `/`. */
export function mergeSlashes(path: string): string {
  return path.includes('//') ? path.replace(/\/{2,}/g, '/') : path
}

/** RFC 3986 section 5.2.4. What would lead above the root leads to the root. */
export function removeDotSegments(path: string): string {
  if (!path.includes('/.')) return path
  const kept: string[] = []
  const segments = path.split('/').slice(1)
  for (const segment of segments) {
    if (segment === '..') kept.pop()
    else if (segment !== '.') kept.push(segment)
  }
  // "/a/.." is the directory "/", as is "/a/b/.": what ends in dots ends in a slash.
  const last = segments.at(-1)
  if (last === '..' || last === '.') kept.push('')
  return `/${kept.join('/')}`
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const UNUSABLE = /[\u0000- #\u007f]|%00/
const ENCODED_SLASH = /%2f|%5c/gi
const PERCENT_ENCODED = /%[0-9a-f]{2}/gi
/** RFC 3986 section 2.3: means the same encoded and not. */
const UNRESERVED = /[\w.~-]/

function plainOctet(encoded: string): string {
  const text = String.fromCharCode(Number.parseInt(encoded.slice(1), 16))
  return UNRESERVED.test(text) ? text : encoded.toUpperCase()
}
