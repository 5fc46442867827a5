import {
  DATAPLANE_MODE_LABEL,
  INJECTION_LABEL,
  isInjected,
  REDIRECTION_ANNOTATION,
  SIDECAR_INJECT_LABEL,
} from '../captured.ts'
import { NETWORK_LABEL, SYSTEM_NAMESPACE } from '../mesh-config.ts'
import type { KubernetesObject } from '../objects.ts'
import type { CheckInput, Finding } from './finding.ts'

/** Labels and selectors that Kubernetes would refuse, and those that mean nothing where or as they stand. */
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
  for (const [where, key, values] of KNOWN[object.kind] ?? []) {
    findings.push(...known(object, `metadata.${where}`, key, { labels, annotations }[where], values))
  }
  return [...findings, ...sidecarAndAmbient(object), ...networkElsewhere(object)]
}

type KnownValues = readonly [where: 'labels' | 'annotations', key: string, values: readonly string[]]

const MODE: KnownValues = ['labels', DATAPLANE_MODE_LABEL, ['ambient', 'none']]
const BOOLEAN = ['true', 'false']
const INGRESS: KnownValues = ['labels', 'istio.io/ingress-use-waypoint', BOOLEAN]

/** Labels and annotations that mean nothing with any other value than these. */
const KNOWN: Partial<Record<KubernetesObject['kind'], readonly KnownValues[]>> = {
  Namespace: [MODE, ['labels', INJECTION_LABEL, ['enabled', 'disabled']], INGRESS],
  Service: [INGRESS],
  Pod: [
    MODE,
    ['labels', SIDECAR_INJECT_LABEL, BOOLEAN],
    ['annotations', REDIRECTION_ANNOTATION, ['enabled', 'pending', 'disabled']],
    ['annotations', 'ambient.istio.io/bypass-inbound-capture', BOOLEAN],
    ['annotations', 'ambient.istio.io/dns-capture', BOOLEAN],
  ],
}

/** Both on one object: one of them is a left-over, and the sidecar's wins. */
function sidecarAndAmbient(object: KubernetesObject): readonly Finding[] {
  const { labels } = object.metadata
  if (labels[DATAPLANE_MODE_LABEL] !== 'ambient') return []
  const key = object.kind === 'Namespace' ? INJECTION_LABEL : SIDECAR_INJECT_LABEL
  const asks =
    object.kind === 'Namespace'
      ? labels[key] === 'enabled'
      : object.kind === 'Pod' && isInjected(object, undefined)
  if (!asks) return []
  const message = `asks for a sidecar, which wins over ${DATAPLANE_MODE_LABEL}: nothing is captured for it`
  return [{ severity: 'warning', object, field: `metadata.labels["${key}"]`, message }]
}

/** Whose label of that name sidecars and gateways read, and ambient workloads do not. */
const WITHOUT_NETWORK: readonly KubernetesObject['kind'][] = ['Pod', 'Node', 'Namespace']

function networkElsewhere(object: KubernetesObject): readonly Finding[] {
  const { labels, name } = object.metadata
  if (labels[NETWORK_LABEL] === undefined || !WITHOUT_NETWORK.includes(object.kind)) return []
  if (object.kind === 'Namespace' && name === SYSTEM_NAMESPACE) return []
  const message = `has no effect here: all pods are in the network that namespace ${SYSTEM_NAMESPACE} has the label of`
  return [{ severity: 'warning', object, field: `metadata.labels["${NETWORK_LABEL}"]`, message }]
}

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
