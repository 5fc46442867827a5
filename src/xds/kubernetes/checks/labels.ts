import { DATAPLANE_MODE_LABEL, REDIRECTION_ANNOTATION } from '../captured.ts'
import type { KubernetesObject } from '../objects.ts'
import type { CheckInput, Finding } from './finding.ts'

/** Labels and selectors that Kubernetes would refuse, and enrolment labels with values that enrol nothing. */
export function labels({ objects }: CheckInput): readonly Finding[] {
  return Object.values(objects).flatMap((kind: ReadonlyMap<string, KubernetesObject>) =>
    [...kind.values()].flatMap(labelsOf),
  )
}

function labelsOf(object: KubernetesObject): readonly Finding[] {
  const { labels, annotations } = object.metadata
  const findings = [...syntax(object, 'metadata.labels', labels)]
  if (object.kind === 'Service') findings.push(...syntax(object, 'spec.selector', object.spec.selector))
  if (object.kind === 'AuthorizationPolicy' || object.kind === 'PeerAuthentication') {
    findings.push(...syntax(object, 'spec.selector.matchLabels', object.spec.matchLabels ?? {}))
  }
  if (object.kind === 'Namespace' || object.kind === 'Pod') {
    findings.push(...known(object, 'metadata.labels', DATAPLANE_MODE_LABEL, labels, MODES))
  }
  if (object.kind === 'Pod') {
    findings.push(...known(object, 'metadata.annotations', REDIRECTION_ANNOTATION, annotations, REDIRECTIONS))
  }
  return findings
}

const MODES = ['ambient', 'none']
const REDIRECTIONS = ['enabled', 'pending', 'disabled']

/** Kubernetes' syntax of a label's value; 63 characters at most. */
const VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/
/** Of its key: the same, not empty, after a DNS name and "/" if there is one. */
const KEY = /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/

function syntax(
  object: KubernetesObject,
  field: string,
  pairs: Readonly<Record<string, string>>,
): readonly Finding[] {
  const findings: Finding[] = []
  for (const [key, value] of Object.entries(pairs)) {
    const wrong = !KEY.test(key) ? `key "${key}"` : !VALUE.test(value) ? `value "${value}"` : undefined
    if (wrong === undefined) continue
    const message = `the label ${wrong} is refused by Kubernetes: letters, digits, "-", "_" and ".", 63 at most, first and last a letter or digit`
    findings.push({ severity: 'error', object, field: `${field}["${key}"]`, message })
  }
  return findings
}

function known(
  object: KubernetesObject,
  field: string,
  key: string,
  pairs: Readonly<Record<string, string>>,
  values: readonly string[],
): readonly Finding[] {
  const value = pairs[key]
  if (value === undefined || values.includes(value)) return []
  const message = `"${value}" is no value that is known: expected ${values.join(' or ')}`
  return [{ severity: 'warning', object, field: `${field}["${key}"]`, message }]
}
