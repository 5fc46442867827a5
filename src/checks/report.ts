import type { Finding } from './model.ts'

/** What `ztunnel check` prints of a lab: a line for each finding, and a hint below each that is wrong. */
export function formatFindings(lab: string, findings: readonly Finding[]): string {
  const lines = findings.flatMap(({ what, right, seen, hint }) => [
    `${right ? '✓' : '✗'} ${what}`,
    ...(right ? [] : [`    seen: ${seen}`, ...(hint === undefined ? [] : [`    next: ${hint}`])]),
  ])
  const wrong = findings.filter(({ right }) => !right).length
  const verdict = wrong === 0 ? `${lab}: right` : `${lab}: wrong, ${wrong} of ${findings.length}`
  return `${[...lines, '', verdict].join('\n')}\n`
}

/** Whether a lab's point is met. Without a finding nothing was. */
export function isRight(findings: readonly Finding[]): boolean {
  return findings.length > 0 && findings.every(({ right }) => right)
}
