import { collectObjects } from './collect-objects.ts'
import type { KubernetesObjects } from './objects.ts'
import { parseFile } from './parse.ts'
import { type MeshResources, translate } from './translate.ts'
import type { TranslateOptions } from './translate-context.ts'

/** The objects of a YAML text, which must be free of errors. */
export function objectsOf(text: string): KubernetesObjects {
  const { objects, problems } = parseFile('test.yaml', text)
  const errors = problems.filter(({ severity }) => severity === 'error')
  if (errors.length > 0) throw new Error(JSON.stringify(errors))
  return collectObjects(objects.map(({ object }) => object))
}

/** The mesh that a YAML text describes. */
export function meshOf(text: string, options: Partial<TranslateOptions> = {}): MeshResources {
  return translate(objectsOf(text), { trustDomain: 'cluster.local', clusterId: 'Kubernetes', ...options })
}

/** YAML of an AuthorizationPolicy `foo/p` with the given spec in flow style. */
export function policyYaml(spec: string, metadata = '{name: p, namespace: foo}'): string {
  return `---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: ${metadata}\nspec: ${spec}\n`
}

/** YAML of a running Pod `foo/<name>` with label `app: <name>`. */
export function podYaml(name: string, spec = '', metadata = ''): string {
  return `---
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: foo, labels: {app: ${name}}${metadata}}
spec: {nodeName: node-a, serviceAccountName: ${name}${spec}}
status: {podIP: 10.0.0.1}
`
}
