/**
 * - `no-upstream`: there is no healthy endpoint, no valid backend, or no address.
 * - `policy-denied`: an AuthorizationPolicy refused the connection.
 */
export type WaypointErrorCode = 'no-upstream' | 'policy-denied'

/** An error of the waypoint; the message is what the access log shows. */
export class WaypointError extends Error {
  readonly code: WaypointErrorCode

  constructor(code: WaypointErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'WaypointError'
    this.code = code
  }
}
