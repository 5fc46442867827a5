import type { FieldChange, ReadableResource, ResourceChange } from '../xds/index.ts'
import type { FileProblem } from '../xds/kubernetes/index.ts'

export interface ProblemSummary {
  readonly files: number
  readonly objects: number
  readonly errors: number
  readonly warnings: number
  readonly referencesChecked: boolean
}

/** One line for each problem, `file:line:column: severity: field: message`, and a summary. */
export function problemsText(problems: readonly FileProblem[], summary?: ProblemSummary): string {
  const lines = problems.map(({ severity, file, line, column, field, message }) => {
    const place = [file, line, column].filter((part) => part !== undefined).join(':')
    return [place, severity, field, message].filter((part) => part !== '').join(': ')
  })
  if (summary !== undefined) lines.push(...summaryLines(summary))
  return `${lines.join('\n')}\n`
}

/** A YAML document of all resources by type and name, in the order given. */
export async function resourcesYaml(resources: readonly ReadableResource[]): Promise<string> {
  const { stringify } = await import('yaml')
  const sections = new Map<string, Map<string, unknown>>()
  for (const { kind, name, value } of resources) {
    const section = sections.get(SECTIONS[kind]) ?? new Map()
    sections.set(SECTIONS[kind], section.set(name, value))
  }
  // Long names must stay on one line, to be found by grep.
  return stringify(sections, { lineWidth: 0 })
}

/** `+` added, `-` removed, `~` changed, with the fields of the last. */
export function changesText(changes: readonly ResourceChange[], total: number): string {
  const lines = changes.flatMap(({ change, kind, name, fields }) => [
    `${SIGNS[change]} ${kind} ${name}`,
    ...fields.map(fieldLine),
  ])
  const count = (wanted: ResourceChange['change']) => changes.filter(({ change }) => change === wanted).length
  const [added, changed, removed] = [count('added'), count('changed'), count('removed')]
  lines.push(`${added} added, ${changed} changed, ${removed} removed, ${total - added - changed} as before`)
  return `${lines.join('\n')}\n`
}

const SECTIONS = {
  workload: 'workloads',
  service: 'services',
  policy: 'policies',
  'waypoint-policy': 'waypoint-policies',
  route: 'routes',
} as const
const SIGNS = { added: '+', removed: '-', changed: '~' } as const

function fieldLine({ field, before, after }: FieldChange): string {
  if (before === undefined) return `    ${field}: set to ${JSON.stringify(after)}`
  if (after === undefined) return `    ${field}: was ${JSON.stringify(before)}`
  return `    ${field}: ${JSON.stringify(before)} → ${JSON.stringify(after)}`
}

function summaryLines(summary: ProblemSummary): readonly string[] {
  const { files, objects, errors, warnings, referencesChecked } = summary
  const found = `${counted(errors, 'error')}, ${counted(warnings, 'warning')}`
  const lines = [`${counted(files, 'file')}, ${counted(objects, 'object')} in force: ${found}`]
  if (!referencesChecked) lines.push('references were not checked: mend the files that cannot be used first')
  return lines
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}
