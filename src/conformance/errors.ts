export type ConformanceErrorCode =
  /** An option is wrong or does not fit another one. */
  | 'OPTION_INVALID'
  /** The folder of certificates has not what is needed. */
  | 'CERTS_INVALID'
  /** Nobody answers at the target, or it does not take our own certificate. */
  | 'TARGET_UNREACHABLE'

/** Why a run could not begin. The message says what to check. */
export class ConformanceError extends Error {
  readonly code: ConformanceErrorCode

  constructor(code: ConformanceErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options)
    this.name = 'ConformanceError'
    this.code = code
  }
}

/** Thrown by a check, or by what it uses, when the target did not do what it must; the text says what was seen. */
export class CheckFailure extends Error {
  constructor(seen: string) {
    super(seen)
    this.name = 'CheckFailure'
  }
}

/** The message; of OpenSSL's errors the reason, without thread, file and line. */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return 'reason' in error && typeof error.reason === 'string' ? error.reason : error.message
}
