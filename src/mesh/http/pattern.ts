import { RE2JS } from 're2js'

/** A regular expression that must match a whole text. */
export interface Pattern {
  matches(text: string): boolean
}

/**
 * Instructions of one compiled expression, about one for each letter, class or
 * alternative, those repeated counted so many times. Matching takes at most
 * this many steps for each character of the text.
 */
export const MAX_PATTERN_INSTRUCTIONS = 2_000

/**
 * Compiles RE2 syntax, which is Istio's. Its matching is linear in the length
 * of the text whatever the expression, so that no client can hold up a proxy
 * by what it writes into a path or header, as it could with the expressions of
 * JavaScript, which backtrack. What makes that impossible (back-references,
 * look-around) is no RE2. Throws `SyntaxError` with what is wrong.
 */
export function compilePattern(source: string): Pattern {
  const compiled = parse(source)
  const size = compiled.programSize()
  if (size > MAX_PATTERN_INSTRUCTIONS) {
    const limits = `${size} instructions, at most ${MAX_PATTERN_INSTRUCTIONS} are allowed`
    throw new SyntaxError(`"${source}" is too large a regular expression: ${limits}`)
  }
  return { matches: (text) => compiled.matches(text) }
}

/** The expression that matches a text and nothing else. */
export function quotePattern(text: string): string {
  return RE2JS.quote(text)
}

function parse(source: string): RE2JS {
  try {
    return RE2JS.compile(source)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new SyntaxError(`"${source}" is no RE2 regular expression: ${reason}`, { cause })
  }
}
