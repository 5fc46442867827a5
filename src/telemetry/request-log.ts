import { endFields } from './access-log.ts'
import type { ConnectionInfo } from './connection-info.ts'
import { display } from './log-format.ts'
import type { ScopedLogger } from './logger.ts'

/** What is written of one request. Names and meanings are those of Envoy's access log, as Istio writes it. */
export interface RequestLine {
  readonly info: Omit<ConnectionInfo, 'counts'>
  readonly method: string
  readonly path: string
  /** `HTTP/1.1` */
  readonly protocol: string
  readonly authority: string
  readonly status: number
  readonly flags: string
  /** What went wrong or was decided, in Envoy's words where it has any: `rbac_access_denied_matched_policy[…]`. */
  readonly details: string | undefined
  readonly grpcStatus: number | undefined
  readonly requestBytes: number
  readonly responseBytes: number
  readonly durationMs: number
  /** To the head of the upstream's answer. */
  readonly upstreamMs: number | undefined
  /** `ip:port` of the application. */
  readonly upstreamHost: string | undefined
  readonly requestId: string | undefined
  readonly userAgent: string | undefined
  /** `HTTPRoute/ns/name`, and the rule's name or number. */
  readonly routeName: string | undefined
  readonly rule: string | undefined
  /** `namespace/name` of the policy that decided. */
  readonly policy: string | undefined
  readonly tries: number
  readonly traceId: string | undefined
}

/** Writes the line `request` of scope `access`: info level, error level for what the waypoint or its upstream could not do. */
export class RequestLog {
  readonly #log: ScopedLogger

  constructor(log: ScopedLogger) {
    this.#log = log
  }

  /** Whether steps of a decision are written. */
  get explains(): boolean {
    return this.#log.isLevelEnabled('debug')
  }

  write(line: RequestLine): void {
    const level = line.status === 0 || line.status >= 500 ? 'error' : 'info'
    if (!this.#log.isLevelEnabled(level)) return
    const { info, upstreamHost } = line
    this.#log[level]('request', {
      method: line.method,
      path: line.path,
      protocol: line.protocol,
      authority: line.authority,
      response_code: line.status,
      response_flags: line.flags,
      response_code_details: line.details,
      grpc_status: line.grpcStatus,
      bytes_received: line.requestBytes,
      bytes_sent: line.responseBytes,
      duration: Math.round(line.durationMs),
      upstream_service_time: line.upstreamMs === undefined ? undefined : Math.round(line.upstreamMs),
      upstream_host: upstreamHost === undefined ? undefined : display(upstreamHost),
      route_name: line.routeName,
      route_rule: line.rule,
      policy: line.policy,
      tries: line.tries > 1 ? line.tries : undefined,
      request_id: line.requestId,
      user_agent: line.userAgent,
      ...endFields(info),
      route: this.explains
        ? info.steps?.map(({ step, detail }) => `${step}: ${detail}`).join('; ')
        : undefined,
      trace_id: line.traceId,
    })
  }
}
