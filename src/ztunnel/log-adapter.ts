import type { LogFields, ScopedLogger } from '../telemetry/index.ts'

/** The logger that the importable parts (identity, xds) take: pino's order of arguments. */
export interface FieldsFirstLog {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** The process's log in pino's shape. */
export function fieldsFirst(log: ScopedLogger): FieldsFirstLog {
  const write =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (fields: object, message: string): void =>
      log[level](message, Object.fromEntries(Object.entries(fields)) satisfies LogFields)
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
}
