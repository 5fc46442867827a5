/** What can be wrong with an input of telemetry. */
export type TelemetryErrorCode = 'invalid-log-filter'

/** An error of telemetry; the message says what was given and what is expected. */
export class TelemetryError extends Error {
  readonly code: TelemetryErrorCode

  constructor(code: TelemetryErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'TelemetryError'
    this.code = code
  }
}
