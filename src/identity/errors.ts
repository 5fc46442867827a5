/** What went wrong, for programs. The message is for the operator. */
export type IdentityErrorCode =
  /** A certificate chain from a CA cannot be used. */
  | 'CHAIN_INVALID'
  /** A peer's certificate is not the one this connection needs. */
  | 'PEER_MISMATCH'
  /** A signing request is malformed, unverifiable or of a kind that this CA does not sign. */
  | 'REQUEST_INVALID'
  /** A folder of CA files is incomplete, unreadable or inconsistent. */
  | 'CA_FILES_INVALID'
  /** A certificate cannot be written where it was asked for. */
  | 'FILES_UNWRITABLE'
  /** The CA's own certificate cannot sign any more. */
  | 'CA_EXPIRED'
  /** A bearer token is missing, forged, expired or not meant for us. */
  | 'TOKEN_INVALID'
  /** Settings for reaching the control plane cannot be used. */
  | 'CONTROL_PLANE_INVALID'
  /** The CA answered with an error or could not be reached. */
  | 'SIGNING_FAILED'
  /** The certificate that we hold is no longer valid. */
  | 'EXPIRED'
  /** The identity was forgotten while somebody waited for its certificate. */
  | 'FORGOTTEN'
  /** The manager was closed. */
  | 'CLOSED'

/** Every failure that this folder reports. `cause` holds the lower error, if any. */
export class IdentityError extends Error {
  override readonly name = 'IdentityError'
  readonly code: IdentityErrorCode

  constructor(code: IdentityErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** The message of anything that was thrown. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The errno name (`ENOENT`) of a failed system call; undefined for other errors. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
