import type { AccessLine, Call, Finding } from './model.ts'

export const SLEEP = 'spiffe://cluster.local/ns/demo/sa/sleep'
export const GUEST = 'spiffe://cluster.local/ns/demo/sa/guest'

/** The newest line of which it holds. */
export function lastOf(
  lines: readonly AccessLine[],
  holds: (line: AccessLine) => boolean,
): AccessLine | undefined {
  return lines.findLast(holds)
}

export function isFrom(fields: AccessLine['fields'], identity: string): boolean {
  return fields['src.identity'] === identity
}

/** Whether a connection went, or came, in HBONE with both sides' certificates. */
export function isTunnel({ fields }: AccessLine): boolean {
  return (
    fields['dst.hbone_addr'] !== undefined &&
    fields['src.identity'] !== undefined &&
    fields['dst.identity'] !== undefined
  )
}

/** A line in a few words, for a person. */
export function summary(line: AccessLine | undefined): string {
  if (line === undefined) return 'no such line in the access log'
  const { proxy, fields } = line
  const end =
    fields['error'] ?? `ended well${fields['policy'] === undefined ? '' : ` by ${fields['policy']}`}`
  const from = fields['src.identity'] ?? `${fields['src.addr'] ?? '?'} without an identity`
  return `${proxy}: ${from} → ${fields['dst.workload'] ?? fields['dst.addr'] ?? '?'}, ${isTunnel(line) ? 'HBONE' : 'plain'}, ${end}`
}

/** The server's proxy has the last word on a call; undefined where none was asked. */
export function verdictOf({ lines }: Call): AccessLine | undefined {
  return lastOf(lines, ({ fields }) => fields['direction'] === 'inbound')
}

/** Whether a policy refused it, by the word of the server's proxy. That nothing came back may have any reason. */
export function isRefused(call: Call): boolean {
  return call.status === 0 && verdictOf(call)?.fields['error']?.includes('policy rejection') === true
}

/** A call in a few words. */
export function said(call: Call): string {
  const { status, exit, lines } = call
  const answer = status === 0 ? `no answer (curl ${exit})` : `HTTP ${status}`
  const line = verdictOf(call) ?? lines.at(-1)
  return line === undefined ? `${answer}; no line in any access log` : `${answer}; ${summary(line)}`
}

/** A call that must be answered. */
export function answered(call: Call, hint: string, what?: string): Finding {
  const right = call.status === 200
  return { what: what ?? `${call.from} reaches ${call.url}`, right, seen: said(call), hint }
}

/** A call that a policy must refuse. */
export function refused(call: Call, hint: string, what?: string): Finding {
  const right = isRefused(call)
  return { what: what ?? `${call.from} is refused at ${call.url} by policy`, right, seen: said(call), hint }
}

/** That the client's proxy has seen the server's certificate. */
export function trustedBy(line: AccessLine | undefined, account: string): Finding {
  const expected = `spiffe://cluster.local/ns/demo/sa/${account}`
  return {
    what: `the server proved to be ${expected}`,
    right: line?.fields['dst.identity'] === expected,
    seen: line?.fields['dst.identity'] ?? summary(line),
    hint: 'who signed what for whom: docker compose logs config-server',
  }
}
