/** Whether a path is the prefix or below it, by segments: `/a` covers `/a`, `/a/` and `/a/b`, but not `/ab`. */
export function isBelow(path: string, prefix: string): boolean {
  const base = withoutSlash(prefix)
  return path.startsWith(base) && (path.length === base.length || path[base.length] === '/')
}

/**
 * The path with its prefix replaced. `path` is below `prefix`, and has no
 * query. The Gateway API's table of cases is in the test.
 */
export function replacePrefix(path: string, prefix: string, replacement: string): string {
  const replaced = withoutSlash(replacement) + path.slice(withoutSlash(prefix).length)
  return replaced.startsWith('/') ? replaced : `/${replaced}`
}

/** A slash at the end says nothing in a prefix. */
function withoutSlash(prefix: string): string {
  return prefix.endsWith('/') ? prefix.slice(0, -1) : prefix
}
