import { type Document, isMap, isNode, type LineCounter, type YAMLError } from 'yaml'

/** A position in a text, both from 1. */
export interface Place {
  readonly line: number
  readonly column: number
}

/** Where a text is not YAML, and why. */
export function placeOfSyntaxError(
  error: YAMLError,
  lines: LineCounter,
): Place & { readonly message: string } {
  const start = error.linePos?.[0] ?? lines.linePos(error.pos[0])
  // The library appends a picture of the line; the position says as much.
  const message = (error.message.split(' at line ')[0] ?? error.message).trim()
  return { line: start.line, column: start.col, message }
}

/** Where the value at `path` starts, or the nearest enclosing one that exists. A key's own place for a map entry. */
export function placeOf(document: Document, path: readonly PropertyKey[], lines: LineCounter): Place {
  for (let depth = path.length; depth >= 0; depth--) {
    const offset = offsetOf(document, path.slice(0, depth))
    if (offset === undefined) continue
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }
  return { line: 1, column: 1 }
}

function offsetOf(document: Document, path: readonly PropertyKey[]): number | undefined {
  if (path.length === 0) return isNode(document.contents) ? document.contents.range?.[0] : undefined
  const last = path.at(-1)
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true)
  if (isMap(parent)) {
    const pair = parent.items.find(({ key }) => isNode(key) && String(key.toJSON()) === String(last))
    return isNode(pair?.key) ? pair.key.range?.[0] : undefined
  }
  const node = document.getIn(path, true)
  return isNode(node) ? node.range?.[0] : undefined
}
