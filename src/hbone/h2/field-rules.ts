/** A header list by its parts. */
export interface Message {
  readonly method: string | undefined
  readonly authority: string | undefined
  readonly status: string | undefined
  /** By name; what came several times is joined with `, `, of Host and the like the first is kept. */
  readonly fields: ReadonlyMap<string, string>
}

/**
 * Takes a header list apart, or says by undefined that it is malformed (RFC
 * 9113 section 8.1.1): a stream error. For requests and answers alike: names
 * in lower case, pseudo-headers first and once, nothing that belongs to
 * HTTP/1.1, no control characters in a value.
 */
export function parseMessage(list: readonly string[], kind: 'request' | 'answer'): Message | undefined {
  const pseudo = new Map<string, string>()
  const fields = new Map<string, string>()
  for (let at = 0; at < list.length; at += 2) {
    const name = list[at] ?? ''
    const value = list[at + 1] ?? ''
    if (!isFieldValue(value)) return undefined
    if (name.startsWith(':')) {
      if (fields.size > 0 || pseudo.has(name) || !PSEUDO[kind].has(name)) return undefined
      pseudo.set(name, value)
      continue
    }
    if (!isFieldName(name) || CONNECTION_SPECIFIC.has(name)) return undefined
    if (name === 'te' && value !== 'trailers') return undefined
    const before = fields.get(name)
    fields.set(name, before === undefined ? value : `${before}, ${value}`)
  }
  const method = pseudo.get(':method')
  const authority = pseudo.get(':authority')
  const status = pseudo.get(':status')
  const legal = kind === 'request' ? isRequest(pseudo) : status !== undefined && STATUS.test(status)
  return legal ? { method, authority, status, fields } : undefined
}

/** Whether a trailer list is well-formed: no pseudo-headers (RFC 9113 section 8.1). */
export function areTrailers(list: readonly string[]): boolean {
  for (let at = 0; at < list.length; at += 2) {
    if (!isFieldName(list[at] ?? '') || !isFieldValue(list[at + 1] ?? '')) return false
  }
  return true
}

/** RFC 9113 section 8.2.1: a token (RFC 9110 section 5.1) without capital letters. */
export function isFieldName(name: string): boolean {
  return NAME.test(name)
}

/** RFC 9113 section 8.2.1: no NUL, CR or LF, no white space at its ends; other control characters as RFC 9110 section 5.5. */
export function isFieldValue(value: string): boolean {
  return VALUE.test(value)
}

/** RFC 9113 sections 8.3.1 and 8.5. */
function isRequest(pseudo: ReadonlyMap<string, string>): boolean {
  const isConnect = pseudo.get(':method') === 'CONNECT'
  if (isConnect) return pseudo.has(':authority') && !pseudo.has(':scheme') && !pseudo.has(':path')
  return pseudo.has(':method') && pseudo.has(':scheme') && (pseudo.get(':path') ?? '') !== ''
}

const PSEUDO = {
  request: new Set([':method', ':scheme', ':authority', ':path']),
  answer: new Set([':status']),
} as const
/** RFC 9113 section 8.2.2. */
const CONNECTION_SPECIFIC: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
])
const STATUS = /^[1-5][0-9]{2}$/
const NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/
const VALUE = /^(?![ \t])[\t\x20-\x7e\x80-\xff]*(?<![ \t])$/
