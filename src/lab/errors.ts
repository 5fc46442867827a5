/** Why a lab could not be built or did not run. */
export type LabErrorCode =
  | 'missing-tool'
  | 'kernel-forbids'
  | 'bad-manifest'
  | 'bad-example'
  | 'command-failed'
  | 'not-ready'
  | 'unknown-namespace'
  | 'no-running-lab'
  | 'interrupted'

/** An error of the lab; the message says what to type next. */
export class LabError extends Error {
  readonly code: LabErrorCode

  constructor(code: LabErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'LabError'
    this.code = code
  }
}
