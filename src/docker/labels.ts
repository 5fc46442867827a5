import { nearest } from '../xds/kubernetes/index.ts'
import type { Container } from './model.ts'

/**
 * The labels of a container that mean something to the mesh; docs/docker.md has the same table. Istio's names where
 * Istio has one; what Kubernetes knows from elsewhere than labels begins with `ztunnel.`.
 */

/** Which node's agent and proxy are the container's. Default: the name of the Docker host. */
export const NODE_LABEL = 'ztunnel.node'
/** Default: the compose project, else `default`. */
export const NAMESPACE_LABEL = 'ztunnel.namespace'
/** Default: the container's name. */
export const NAME_LABEL = 'ztunnel.name'
/** Default: `default`. */
export const SERVICE_ACCOUNT_LABEL = 'ztunnel.service-account'
/** The service that the container is an endpoint of; empty for none. Default: the compose service. */
export const SERVICE_LABEL = 'ztunnel.service'
/** The service's ports: see `parseServicePorts`. Default: the exposed ones. */
export const PORTS_LABEL = 'ztunnel.ports'
/** The Docker network whose addresses come first. Default: the one that most containers of the mesh are in. */
export const NETWORK_LABEL = 'ztunnel.network'

export const COMPOSE_PROJECT_LABEL = 'com.docker.compose.project'
export const COMPOSE_SERVICE_LABEL = 'com.docker.compose.service'
/** `True` for what `docker compose run` starts: no endpoint of the service. */
export const COMPOSE_ONE_OFF_LABEL = 'com.docker.compose.oneoff'

/** Docker has labels only; what Kubernetes has as annotation is read from a label of the same name. */
export const ANNOTATIONS = [
  'ambient.istio.io/bypass-inbound-capture',
  'ambient.istio.io/dns-capture',
  'ambient.istio.io/redirection',
] as const

/** Labels that belong to the container's service rather than to the container. */
export const SERVICE_LABELS = [
  'istio.io/use-waypoint',
  'istio.io/use-waypoint-namespace',
  'istio.io/ingress-use-waypoint',
] as const

/** A label, or what else is said of a container, that is not as it should be. */
export interface ContainerProblem {
  readonly severity: 'error' | 'warning'
  /** The container's name. */
  readonly container: string
  /** Names the label where it is about one. */
  readonly message: string
}

/**
 * Labels that look like one of the contract and are not, values that mean nothing, and labels of the contract that
 * come from the image. Each a line for the operator.
 */
export function labelMessages({
  labels,
  imageLabels,
}: Pick<Container, 'labels' | 'imageLabels'>): readonly string[] {
  const own = Object.entries(labels).flatMap(
    ([label, value]) => keyMessage(label) ?? valueMessage(label, value) ?? [],
  )
  return [...own, ...imageLabels.filter((label) => KNOWN.includes(label)).map(imageMessage)]
}

/** Whether the container is anything to the mesh: captured, or to be known as what it is. */
export function concernsMesh(labels: Readonly<Record<string, string>>): boolean {
  return Object.keys(labels).some((label) => KNOWN.includes(label))
}

const PREFIX = 'ztunnel.'
const NO_EFFECT = ['topology.istio.io/network'] as const
const BOOLEAN = ['true', 'false']
const VALUES: Readonly<Record<string, readonly string[]>> = {
  'istio.io/dataplane-mode': ['ambient', 'none'],
  'sidecar.istio.io/inject': BOOLEAN,
  'ambient.istio.io/bypass-inbound-capture': BOOLEAN,
  'ambient.istio.io/dns-capture': BOOLEAN,
  'ambient.istio.io/redirection': ['enabled', 'pending', 'disabled'],
}

/** `app`, `version` and the like are read too, and are anybody's. */
const KNOWN: readonly string[] = [
  'istio.io/dataplane-mode',
  'networking.istio.io/tunnel',
  'sidecar.istio.io/inject',
  'service.istio.io/canonical-name',
  'service.istio.io/canonical-revision',
  'gateway.networking.k8s.io/gateway-name',
  ...ANNOTATIONS,
  ...SERVICE_LABELS,
  ...NO_EFFECT,
  NODE_LABEL,
  NAMESPACE_LABEL,
  NAME_LABEL,
  SERVICE_ACCOUNT_LABEL,
  SERVICE_LABEL,
  PORTS_LABEL,
  NETWORK_LABEL,
]

/** Nobody can tell whether the container was given the same label too. */
function imageMessage(label: string): string {
  return `label ${label} is the image's, and an image's labels do not count: give it to the container, and take it out of the image`
}

function keyMessage(label: string): string | undefined {
  if (KNOWN.includes(label)) return undefined
  const meant = nearest(label, KNOWN)
  if (meant !== undefined) return `label ${label} is not known and has no effect: is ${meant} meant?`
  if (!label.startsWith(PREFIX)) return undefined
  const ours = KNOWN.filter((known) => known.startsWith(PREFIX))
  return `label ${label} is not known and has no effect; there are ${ours.join(', ')}`
}

function valueMessage(label: string, value: string): string | undefined {
  if (NO_EFFECT.some((known) => known === label)) {
    return `label ${label} has no effect: all containers are in one network of the mesh, which namespace istio-system has the label of`
  }
  const values = VALUES[label]
  if (values === undefined || values.includes(value)) return undefined
  const meant = nearest(value, values)
  const hint = meant === undefined ? '' : `: is ${meant} meant?`
  return `label ${label}: "${value}" is no value that is known; expected ${values.join(' or ')}${hint}`
}
