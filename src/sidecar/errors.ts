/** Everything that can keep a workload from getting a bootstrap, or the Envoy to read it. */
export type SidecarErrorCode = 'unknown-workload' | 'no-address' | 'policy-too-large' | 'envoy-missing'

/** An error of this folder; the message is for the operator. */
export class SidecarError extends Error {
  readonly code: SidecarErrorCode

  constructor(code: SidecarErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'SidecarError'
    this.code = code
  }
}
