/** Text colours, or none where the reader cannot show them. */
export interface Palette {
  readonly good: (text: string) => string
  readonly bad: (text: string) => string
  readonly dim: (text: string) => string
  readonly bold: (text: string) => string
}

export interface TerminalEnvironment {
  readonly isTTY: boolean
  /** https://no-color.org: set and not empty means no colour. */
  readonly noColor: string | undefined
}

/** Colours for a terminal that wants them. */
export function paletteFor({ isTTY, noColor }: TerminalEnvironment): Palette {
  if (!isTTY || (noColor !== undefined && noColor !== '')) return PLAIN
  return { good: sgr(32), bad: sgr(31), dim: sgr(2), bold: sgr(1) }
}

/** Left-aligned columns, two spaces apart; the last one is not padded. */
export function alignColumns(rows: readonly (readonly string[])[]): readonly string[] {
  const widths: number[] = []
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length)
  }
  return rows.map((row) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
}

/** `845 B`, `1.2 KiB`, `1.0 GiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`
}

/** `12 ms`, `3.4 s`. */
export function formatMilliseconds(milliseconds: number): string {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`
}

const PLAIN: Palette = { good: same, bad: same, dim: same, bold: same }

function same(text: string): string {
  return text
}

function sgr(code: number): (text: string) => string {
  return (text) => `\x1b[${code}m${text}\x1b[0m`
}
