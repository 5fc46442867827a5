/**
 * A path template of Istio's AuthorizationPolicy: `{*}` is one whole segment
 * that is not empty, `{**}` any number of characters, slashes too, and the
 * last operator. Both stand for a whole segment: `/a/{*}/b/{**}`.
 */
export interface PathTemplate {
  /** Segments before `{**}`, or all; undefined for `{*}`. */
  readonly segments: readonly (string | undefined)[]
  /** What follows `{**}`, with its slash; undefined when there is no `{**}`. */
  readonly rest: string | undefined
}

/** Whether a path of a policy is a template, rightly or wrongly written. */
export function isPathTemplate(text: string): boolean {
  return text.includes('{*}') || text.includes('{**}')
}

/** Throws `SyntaxError` with the reason when the text is no template. */
export function parsePathTemplate(text: string): PathTemplate {
  const fail = (why: string): never => {
    throw new SyntaxError(`path template "${text}": ${why}`)
  }
  if (!text.startsWith('/')) fail('expected a slash at its beginning')
  const parts = text.slice(1).split('/')
  for (const part of parts) {
    if (part === ONE || part === REST) continue
    if (/[{}*]/.test(part)) fail(`"${part}": an operator {*} or {**} must be a whole segment`)
  }
  const at = parts.indexOf(REST)
  if (at === -1) return { segments: parts.map(segmentOf), rest: undefined }
  const after = parts.slice(at + 1)
  if (after.some((part) => part === ONE || part === REST)) fail('{**} must be the last operator')
  return {
    segments: parts.slice(0, at).map(segmentOf),
    rest: after.map((part) => `/${part}`).join(''),
  }
}

/** Whether a normalized path is of that form. Takes time in proportion to the path, whatever the template. */
export function matchesPathTemplate({ segments, rest }: PathTemplate, path: string): boolean {
  let at = 0
  for (const segment of segments) {
    if (path[at] !== '/') return false
    const slash = path.indexOf('/', at + 1)
    const end = slash === -1 ? path.length : slash
    const found = path.slice(at + 1, end)
    if (segment === undefined ? found === '' : found !== segment) return false
    at = end
  }
  if (rest === undefined) return at === path.length
  // The slash before {**} is not part of what it stands for.
  return path[at] === '/' && path.length >= at + 1 + rest.length && path.endsWith(rest)
}

const ONE = '{*}'
const REST = '{**}'

function segmentOf(part: string): string | undefined {
  return part === ONE ? undefined : part
}
