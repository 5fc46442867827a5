import type { ScopedLogger } from './logger.ts'

/** The argument order of pino, which `identity` and `xds` ask for. */
export interface FieldsFirstLogger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** One scope of the log for those that put fields before the message. */
export function fieldsFirst(log: ScopedLogger): FieldsFirstLogger {
  return {
    debug: (fields, message) => log.debug(message, { ...fields }),
    info: (fields, message) => log.info(message, { ...fields }),
    warn: (fields, message) => log.warn(message, { ...fields }),
    error: (fields, message) => log.error(message, { ...fields }),
  }
}
