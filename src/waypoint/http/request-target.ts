import { normalizePath } from '../../mesh/http/normalize-path.ts'

/** A path as policy and upstream see it, or why there is none. */
export type TargetCheck = { readonly path: string } | { readonly problem: string }

/**
 * Checks and normalizes a request target in origin form, as Istio does by
 * default (`normalizePath`). Policy and routes are evaluated on what the
 * upstream gets, so no spelling of a path slips by them. The query stays as
 * it is.
 */
export function checkPath(target: string): TargetCheck {
  if (target === '') return { problem: 'no path' }
  if (!target.startsWith('/')) return { problem: 'path does not begin with /' }
  if (ILLEGAL.test(target)) return { problem: 'path has a character that no URI has' }
  // RFC 9112 section 3.2 has no fragment; whoever cuts one off sees another path than who does not.
  if (target.includes('#')) return { problem: 'path has a fragment' }
  const mark = target.indexOf('?')
  const path = mark < 0 ? target : target.slice(0, mark)
  const normal = normalizePath(path)
  if (normal === undefined) return { problem: 'path has %00, which ends it to some' }
  return { path: normal + (mark < 0 ? '' : target.slice(mark)) }
}

/** Of an authority, or undefined when it is one (RFC 3986 section 3.2). */
export function authorityProblem(authority: string): string | undefined {
  if (authority.length > MAX_AUTHORITY_CHARS) return 'host is too long'
  return AUTHORITY.test(authority) ? undefined : 'host is no host and port'
}

/** A DNS name has 253, an address and a port fit as well; twice that for what is escaped. */
const MAX_AUTHORITY_CHARS = 512
/** Beyond what llhttp refuses by itself: all of it, for HTTP/2. */
const ILLEGAL = /[^\x21-\x7e]/
/** Neither user information (RFC 9110 section 4.2.4) nor anything that a URI has around an authority. */
const AUTHORITY = /^(?:\[[0-9A-Fa-f:.]+(?:%25[\w.~-]+)?\]|[\w.~!$&'()*+,;=%-]+)(?::\d{0,5})?$/
