import { HboneError } from '../hbone/index.ts'
import type { ResponseFlag } from '../telemetry/index.ts'

/** Everything that can end a connection in the node proxy itself. */
export type ProxyErrorCode =
  | 'unknown-local-workload'
  | 'identity'
  | 'connect-failed'
  | 'connect-timeout'
  | 'policy-denied'
  | 'policy-changed'
  | 'waypoint'
  | 'refused'
  | 'drained'
  | 'bind-failed'
  | 'zds-protocol'
  | 'configuration'

/** An error of the node proxy; the message is what the access log shows. */
export class ProxyError extends Error {
  readonly code: ProxyErrorCode

  constructor(code: ProxyErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ProxyError'
    this.code = code
  }
}

/** The response flag of an error, as Istio's metrics label it (wire: proxy/metrics response_flags). */
export function responseFlag(error: unknown): ResponseFlag {
  if (error instanceof ProxyError) {
    if (error.code === 'policy-denied' || error.code === 'policy-changed') return 'DENY'
    if (error.code === 'identity') return 'IDENTITY_ERROR'
    // Cut by our own end: nothing was wrong with the connection.
    if (error.code === 'drained') return '-'
    return 'CONNECT'
  }
  if (error instanceof HboneError) {
    if (error.code === 'connect-timeout') return 'NETWORK_POLICY'
    if (error.code === 'http2') return 'H2_HANDSHAKE_FAILURE'
  }
  return 'CONNECT'
}

/** The text of any thrown value. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The access log's text for a connection that policy refused. */
export function deniedText(reason: string): string {
  return `connection closed due to policy rejection: ${reason}`
}
