import { createHash } from 'node:crypto'

/** A part of a YAML stream that can be read by itself. */
export interface YamlChunk {
  readonly text: string
  /** Equal for equal texts. */
  readonly key: string
  /** How many lines are before it. */
  readonly linesBefore: number
}

/**
 * A YAML stream cut where its documents begin. `---` at the beginning of a line
 * is a document marker wherever it stands (YAML 1.2, 9.1.2), in block scalars
 * and unclosed brackets too. A stream with directives or explicit ends, where
 * what belongs together is harder to tell, is one piece.
 */
export function yamlChunks(text: string): readonly YamlChunk[] {
  const parts = /^(?:%|\.\.\.)/m.test(text) ? [text] : text.split(/^(?=---(?:\s|$))/m)
  let linesBefore = 0
  return parts.map((part) => {
    const chunk = { text: part, key: keyOf(part), linesBefore }
    linesBefore += linesOf(part)
    return chunk
  })
}

/** Of the text, so that its memory can go. */
function keyOf(text: string): string {
  return createHash('sha256').update(text).digest('base64')
}

function linesOf(text: string): number {
  let lines = 0
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines++
  return lines
}
