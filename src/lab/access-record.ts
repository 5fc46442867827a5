import { parseJson, text } from './log-line.ts'

/** One line of a proxy's access log, as far as the lab reads it. */
export interface AccessRecord {
  /** Who wrote it: `ztunnel@node-a`, `sidecar@bar/httpbin`. */
  readonly proxy: string
  readonly direction: 'inbound' | 'outbound'
  /** `ip:port` */
  readonly source: string
  /** `namespace/name` */
  readonly sourceWorkload: string | undefined
  /** SPIFFE id, only where mutual TLS proved it. */
  readonly sourceIdentity: string | undefined
  /** `ip:port` */
  readonly destination: string
  /** `:authority` of the tunnel, only for HBONE. */
  readonly hboneAddress: string | undefined
  readonly destinationWorkload: string | undefined
  readonly destinationIdentity: string | undefined
  readonly bytesSent: number
  readonly bytesReceived: number
  /** As written: `13ms`. */
  readonly duration: string
  readonly error: string | undefined
  /** `namespace/name` of the policy that decided. */
  readonly policy: string | undefined
  readonly traceId: string | undefined
}

/** Reads a line of `LOG_FORMAT=json`. Undefined for anything but the end of a connection. */
export function parseAccessRecord(proxy: string, line: string): AccessRecord | undefined {
  const fields = parseJson(line)
  if (fields === undefined || fields['scope'] !== 'access') return undefined
  if (fields['message'] !== 'connection complete' && fields['message'] !== 'connection failed')
    return undefined
  const direction = fields['direction']
  if (direction !== 'inbound' && direction !== 'outbound') return undefined
  return {
    proxy,
    direction,
    source: text(fields, 'src.addr') ?? '',
    sourceWorkload: workload(fields, 'src'),
    sourceIdentity: text(fields, 'src.identity'),
    destination: text(fields, 'dst.addr') ?? '',
    hboneAddress: text(fields, 'dst.hbone_addr'),
    destinationWorkload: workload(fields, 'dst'),
    destinationIdentity: text(fields, 'dst.identity'),
    bytesSent: Number(fields['bytes_sent'] ?? 0),
    bytesReceived: Number(fields['bytes_recv'] ?? 0),
    duration: text(fields, 'duration') ?? '',
    error: text(fields, 'error'),
    policy: text(fields, 'policy'),
    traceId: text(fields, 'trace_id'),
  }
}

function workload(fields: Readonly<Record<string, unknown>>, end: 'src' | 'dst'): string | undefined {
  const [namespace, name] = [text(fields, `${end}.namespace`), text(fields, `${end}.workload`)]
  return namespace === undefined || name === undefined ? undefined : `${namespace}/${name}`
}
