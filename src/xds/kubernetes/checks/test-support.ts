import { parseFile } from '../parse.ts'
import { objectsOf } from '../test-support.ts'
import { translate } from '../translate.ts'
import type { Check } from './finding.ts'

/** What a check finds in a YAML text: `severity field: message`, with `(kind name)` of the other side. */
export function findingsOf(check: Check, text: string): readonly string[] {
  const objects = objectsOf(text)
  const { others } = parseFile('test.yaml', text)
  const { workloads, trustDomains, rootNamespace } = translate(objects, {
    trustDomain: 'cluster.local',
    clusterId: 'Kubernetes',
  })
  const input = { objects, others, workloads, trustDomains, rootNamespace }
  return check(input).map(({ severity, field, message, other }) => {
    const where =
      other === undefined ? '' : ` (${other.object.kind} ${other.object.metadata.name} ${other.field})`
    return `${severity} ${field}: ${message}${where}`
  })
}

/** A check's cases by name: the YAML, and what must be found in it. */
export type Cases = readonly (readonly [name: string, yaml: string, ...expected: RegExp[]])[]

/** YAML of a Service `foo/<name>` with the given spec in flow style. */
export function serviceYaml(name: string, spec: string, labels = '{}'): string {
  return `---\napiVersion: v1\nkind: Service\nmetadata: {name: ${name}, namespace: foo, labels: ${labels}}\nspec: ${spec}\n`
}
