import type { Namespace, Pod } from './objects.ts'

/** Label of a pod or a namespace that enrols it in the ambient mesh. */
export const DATAPLANE_MODE_LABEL = 'istio.io/dataplane-mode'
/** Label of a pod that terminates HBONE by itself. */
export const TUNNEL_LABEL = 'networking.istio.io/tunnel'
/** Annotation that istio-cni writes: `enabled` once captured, `pending` before. */
export const REDIRECTION_ANNOTATION = 'ambient.istio.io/redirection'

/** Label of a namespace: `enabled` gives its pods sidecars, `disabled` gives none to any. */
export const INJECTION_LABEL = 'istio-injection'
/** Label of a pod, an annotation before: whether it gets a sidecar. */
export const SIDECAR_INJECT_LABEL = 'sidecar.istio.io/inject'

/** Namespaces that istio-cni leaves alone unless told otherwise. */
const EXCLUDED_NAMESPACES: ReadonlySet<string> = new Set(['kube-system'])
const SIDECAR_STATUS_ANNOTATION = 'sidecar.istio.io/status'
const AMBIENT = 'ambient'

/**
 * Whether the node's proxy takes a pod's traffic: istio-cni's enrolment rule.
 * A pod's own label wins over its namespace's. A pod that has a proxy of its
 * own (sidecar, gateway, the node proxy itself, known by the label
 * `app: ztunnel`) is never captured, nor is one in the host's network. A
 * label that asks for a sidecar counts as one: in a cluster the injector has
 * long answered it when istio-cni sees the pod.
 */
export function isCaptured(pod: Pod, namespace: Namespace | undefined): boolean {
  if (pod.spec.hostNetwork || EXCLUDED_NAMESPACES.has(pod.metadata.namespace)) return false
  if (hasOwnProxy(pod) || isInjected(pod, namespace)) return false
  const own = pod.metadata.labels[DATAPLANE_MODE_LABEL]
  if (own !== undefined) return own === AMBIENT
  return namespace?.metadata.labels[DATAPLANE_MODE_LABEL] === AMBIENT
}

/**
 * Whether Istio's injector would give a pod a sidecar, by its labels: not if
 * either the pod's or the namespace's says no, else if either says yes.
 */
export function isInjected({ metadata, spec }: Pod, namespace: Namespace | undefined): boolean {
  if (spec.hostNetwork) return false
  const own = metadata.labels[SIDECAR_INJECT_LABEL] ?? metadata.annotations[SIDECAR_INJECT_LABEL]
  const inherited = namespace?.metadata.labels[INJECTION_LABEL]
  if (own === 'false' || inherited === 'disabled') return false
  return own === 'true' || inherited === 'enabled'
}

function hasOwnProxy({ metadata: { labels, annotations } }: Pod): boolean {
  return (
    annotations[SIDECAR_STATUS_ANNOTATION] !== undefined ||
    labels[TUNNEL_LABEL] !== undefined ||
    labels['app'] === 'ztunnel'
  )
}
