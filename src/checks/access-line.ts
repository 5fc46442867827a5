import type { AccessLine } from './model.ts'

/** Fields of a line, in its plain form: `src.addr=10.0.0.1:80 policy="demo/httpbin"`. */
const FIELD = /([\w.]+)=(?:"((?:[^"\\]|\\.)*)"|(\S+))/g

/**
 * Reads a line of a proxy's log in its plain format, as the compose file has it. Undefined for what is no access log:
 * other scopes, other formats.
 */
export function parseAccessLine(proxy: string, line: string): AccessLine | undefined {
  const [time = '', , scope, message = '', rest = ''] = line.split('\t')
  if (scope !== 'access' || Number.isNaN(Date.parse(time))) return undefined
  const fields: Record<string, string> = {}
  for (const [, name = '', quoted, bare] of rest.matchAll(FIELD)) {
    fields[name] = quoted === undefined ? (bare ?? '') : quoted.replace(/\\(.)/g, '$1')
  }
  return { proxy, message, fields }
}

/** Lines of one connection: that of its client's address, and those that share its trace. */
export function linesOfConnection(
  lines: readonly AccessLine[],
  clientAddress: string,
): readonly AccessLine[] {
  const first = lines.filter(({ fields }) => fields['src.addr'] === clientAddress)
  const traces = new Set(first.map(({ fields }) => fields['trace_id']).filter((id) => id !== undefined))
  return lines.filter((line) => first.includes(line) || traces.has(line.fields['trace_id'] ?? ''))
}
