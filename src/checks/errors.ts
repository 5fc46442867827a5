export type CheckErrorCode =
  /** No lab of that name or folder has a check. */
  | 'unknown-lab'
  /** `docker compose` cannot be run, or refuses. */
  | 'compose'

/** Why a lab cannot be checked at all; the message says what to do. */
export class CheckError extends Error {
  readonly code: CheckErrorCode

  constructor(code: CheckErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CheckError'
    this.code = code
  }
}
