import type { LogLevel } from './log-filter.ts'

/** Named values of a line, in the order written. Undefined ones are left out. */
export type LogFields = Readonly<Record<string, unknown>>

/**
 * A value that a plain line shows without quotes, as Istio's ztunnel shows
 * addresses. JSON lines show it as a string.
 */
export class DisplayValue {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  toJSON(): string {
    return this.text
  }
}

/** Marks text as fit to stand unquoted, such as `10.0.0.5:40000`. Text with anything unusual is quoted after all. */
export function display(text: string): DisplayValue {
  return new DisplayValue(text)
}

/** A function that renders wall-clock milliseconds as RFC 3339 UTC with microseconds; keeps the last second's text. */
export function createTimestamp(): (epochMs: number) => string {
  let second = Number.NaN
  let prefix = ''
  return (epochMs) => {
    const micros = Math.floor(epochMs * 1000)
    const current = Math.floor(micros / 1_000_000)
    if (current !== second) {
      second = current
      prefix = new Date(current * 1000).toISOString().slice(0, -'000Z'.length)
    }
    return `${prefix}${String(micros - current * 1_000_000).padStart(6, '0')}Z`
  }
}

/** One plain line without its end: time, level, scope, message and fields, with tabs between. */
export function formatPlainLine(
  time: string,
  level: LogLevel,
  scope: string,
  message: string,
  fields: LogFields | undefined,
): string {
  const line = `${time}\t${level}\t${scope}\t${escapeControls(message)}`
  if (fields === undefined) return line
  const parts: string[] = []
  for (const name of Object.keys(fields)) {
    const value = fields[name]
    if (value !== undefined) parts.push(`${name}=${formatValue(value)}`)
  }
  return parts.length === 0 ? line : `${line}\t${parts.join(' ')}`
}

/** The fields as a JSON line holds them: errors as their text, undefined ones left out. */
export function jsonFields(fields: LogFields): Record<string, unknown> {
  const out: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue
    out[name] = jsonValue(value)
  }
  return out
}

function jsonValue(value: unknown): unknown {
  if (value instanceof DisplayValue) return value.text
  if (value instanceof Error) return errorText(value)
  return typeof value === 'bigint' ? String(value) : value
}

function formatValue(value: unknown): string {
  if (value instanceof DisplayValue) return BARE.test(value.text) ? value.text : quote(value.text)
  if (typeof value === 'string') return quote(value)
  if (value instanceof Error) return quote(errorText(value))
  if (typeof value === 'object') return escapeControls(JSON.stringify(value) ?? 'null')
  return String(value)
}

function quote(text: string): string {
  // Nearly all there is; a tenth of the time of what follows.
  return PLAIN.test(text) ? `"${text}"` : escapeControls(JSON.stringify(text))
}

/** The messages of an error and of what caused it, outermost first. */
function errorText(error: Error): string {
  const texts = [error.message]
  let cause = error.cause
  for (let depth = 0; cause instanceof Error && depth < MAX_CAUSES; depth++) {
    const { message } = cause
    // Wrapping errors often repeat their cause's text already.
    if (!texts.some((text) => text.includes(message))) texts.push(message)
    cause = cause.cause
  }
  return texts.join(': ')
}

/** What peers send ends up in messages: without this they could forge lines or drive the operator's terminal. */
function escapeControls(text: string): string {
  if (PLAIN.test(text) || !CONTROLS.test(text)) return text
  return text.replace(CONTROLS_GLOBAL, (char) => char.split('').map(escapeUnit).join(''))
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** A chain of causes may be a cycle. */
const MAX_CAUSES = 8

/** Visible ASCII without quotes: needs no quoting to be read back. */
const BARE = /^[!#-~]+$/

/** Visible ASCII and spaces, without what JSON escapes. */
const PLAIN = /^[ !#-[\]-~]*$/

/** Controls (C0, DEL, C1), line and paragraph separators, and format characters, which can reorder text on a screen. */
const CONTROLS = /[\p{Cc}\p{Zl}\p{Zp}\p{Cf}]/u
const CONTROLS_GLOBAL = new RegExp(CONTROLS, 'gu')
