import { parseJson, text } from './log-line.ts'

/** One line of a waypoint's log about a request, as far as the lab reads it. */
export interface RequestRecord {
  /** Who wrote it: `waypoint@bar-2/waypoint`. */
  readonly proxy: string
  readonly method: string
  readonly path: string
  readonly status: number
  /** Envoy's, `-` for none. */
  readonly flags: string
  /** `via_upstream`, `rbac_access_denied_matched_policy[…]` */
  readonly details: string | undefined
  /** `HTTPRoute/bar-2/helloworld`, and the rule's name or number. */
  readonly route: string | undefined
  readonly rule: string | undefined
  /** `namespace/name` of the policy that decided. */
  readonly policy: string | undefined
  /** `ip:port` of the application that answered. */
  readonly upstreamHost: string | undefined
  /** Tries in all; 1 unless the line says otherwise. */
  readonly tries: number
  /** Of the client, whatever was between it and the waypoint: `ip:port`, `namespace/name`, SPIFFE id that it proved. */
  readonly source: string
  readonly sourceWorkload: string | undefined
  readonly sourceIdentity: string | undefined
  /** Of the application: `namespace/name`, SPIFFE id. */
  readonly destinationWorkload: string | undefined
  readonly destinationIdentity: string | undefined
  /** Host name; undefined for what is addressed to a pod. */
  readonly service: string | undefined
  readonly traceId: string | undefined
}

/** Reads a line of `LOG_FORMAT=json`. Undefined for anything but the end of a request. */
export function parseRequestRecord(proxy: string, line: string): RequestRecord | undefined {
  const fields = parseJson(line)
  if (fields === undefined || fields['scope'] !== 'access' || fields['message'] !== 'request')
    return undefined
  const workload = (end: 'src' | 'dst'): string | undefined => {
    const [namespace, name] = [text(fields, `${end}.namespace`), text(fields, `${end}.workload`)]
    return namespace === undefined || name === undefined ? undefined : `${namespace}/${name}`
  }
  return {
    proxy,
    method: text(fields, 'method') ?? '',
    path: text(fields, 'path') ?? '',
    status: Number(fields['response_code'] ?? 0),
    flags: text(fields, 'response_flags') ?? '-',
    details: text(fields, 'response_code_details'),
    route: text(fields, 'route_name'),
    rule: text(fields, 'route_rule'),
    policy: text(fields, 'policy'),
    upstreamHost: text(fields, 'upstream_host'),
    tries: Number(fields['tries'] ?? 1),
    source: text(fields, 'src.addr') ?? '',
    sourceWorkload: workload('src'),
    sourceIdentity: text(fields, 'src.identity'),
    destinationWorkload: workload('dst'),
    destinationIdentity: text(fields, 'dst.identity'),
    service: text(fields, 'dst.service'),
    traceId: text(fields, 'trace_id'),
  }
}
