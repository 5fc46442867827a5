import { parseJson, text } from './log-line.ts'

/** One line of a proxy's word on policies: what it decided for a connection, or what a dry-run policy would have. */
export interface VerdictRecord {
  /** Who wrote it: `ztunnel@node-b`. */
  readonly proxy: string
  /** As written: `deny policy match`, `dry-run: allow policy match`, … */
  readonly message: string
  /** `namespace/name`, where the line is about one policy. */
  readonly policy: string | undefined
  /** `ip:port` of the connection that was judged, as in its access log. */
  readonly source: string
}

/** Reads a line of `LOG_FORMAT=json`. Undefined for anything but a verdict, which proxies log with AUTHZ_POLICY_INFO_LOGGING. */
export function parseVerdictRecord(proxy: string, line: string): VerdictRecord | undefined {
  const fields = parseJson(line)
  if (fields === undefined || fields['scope'] !== 'ztunnel::state') return undefined
  const [message, source] = [text(fields, 'message'), text(fields, 'src.addr')]
  if (message === undefined || source === undefined) return undefined
  return { proxy, message, policy: text(fields, 'policy'), source }
}
