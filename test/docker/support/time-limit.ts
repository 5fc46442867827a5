import type { TAP } from 'tap'

/**
 * Sets the time that the whole file may take. tap's own way to tell its runner does not lead out of the namespaces that
 * `own-namespaces.ts` makes; a line of TAP does.
 */
export function setTimeLimit(t: TAP, milliseconds: number): void {
  t.setTimeout(milliseconds)
  t.comment(`timeout=${milliseconds}`)
}
