/** The part of a logger that this folder needs; a pino logger is one. */
export interface XdsLog {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Drops everything: the default where no logger is given. */
export const silentLog: XdsLog = {
  debug() {},
  info() {},
  warn() {},
  error() {},
}
