/** Something wrong with a file, said so that it can be found and mended. */
export interface FileProblem {
  /** Error: the file's content is not in force. Warning: it is, but perhaps not as meant. */
  readonly severity: 'error' | 'warning'
  /** Path relative to the folder. */
  readonly file: string
  /** From 1. Undefined when the file could not be read at all. */
  readonly line: number | undefined
  /** From 1. */
  readonly column: number | undefined
  /** `spec.rules[0].from[0].source`; empty for the document itself. */
  readonly field: string
  /** What was found and what was expected. */
  readonly message: string
}

/** One line, in the form that editors and terminals make a link of: `file:line:column: field: message`. */
export function formatProblem(problem: FileProblem): string {
  const place = formatPlace(problem)
  return problem.field === ''
    ? `${place}: ${problem.message}`
    : `${place}: ${problem.field}: ${problem.message}`
}

/** `file:line:column` */
export function formatPlace({ file, line, column }: Pick<FileProblem, 'file' | 'line' | 'column'>): string {
  return [file, line, column].filter((part) => part !== undefined).join(':')
}

/** `['spec', 'rules', 0, 'to']` → `spec.rules[0].to`. Keys that are not plain words are quoted in brackets. */
export function formatFieldPath(path: readonly PropertyKey[]): string {
  let text = ''
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`
    else if (/^[\w-]+$/.test(String(part))) text += text === '' ? String(part) : `.${String(part)}`
    else text += `["${String(part)}"]`
  }
  return text
}

/** The opposite of `formatFieldPath`. */
export function parseFieldPath(field: string): readonly PropertyKey[] {
  return [...field.matchAll(/\["([^"]*)"\]|\[(\d+)\]|([^.[\]]+)/g)].map(
    ([, quoted, index, word]) => quoted ?? (index === undefined ? (word ?? '') : Number(index)),
  )
}
