export type ConfigServerErrorCode =
  /** A listening address is taken or not ours. */
  | 'listen-failed'
  /** A setting that could never work. */
  | 'settings-invalid'
  /** The folder of configuration cannot be read. */
  | 'config-unreadable'
  /** The Docker Engine whose containers are to be served does not answer as one. */
  | 'docker-unreachable'

/** Why a config server cannot start. */
export class ConfigServerError extends Error {
  readonly code: ConfigServerErrorCode

  constructor(code: ConfigServerErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ConfigServerError'
    this.code = code
  }
}
