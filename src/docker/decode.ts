import ipaddr from 'ipaddr.js'
import type { z } from 'zod'
import { DockerError } from './errors.ts'
import type { Container, ContainerNetwork, DockerEvent, Network } from './model.ts'
import { containerSchema, eventSchema, networksSchema, type RawContainer } from './schema.ts'

/** Checks what the engine sent. Throws DockerError `malformed`, naming the field. */
export function decode<T extends z.ZodType>(schema: T, value: unknown, what: string): z.infer<T> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  const where = issue?.path.map(String).join('.') ?? ''
  throw new DockerError('malformed', `${what} of Docker cannot be read: ${where}: ${issue?.message ?? ''}`)
}

/** `GET /containers/{id}/json` */
export function decodeContainer(value: unknown): DecodedContainer {
  const raw = decode(containerSchema, value, 'a container')
  const { State, Config, HostConfig, NetworkSettings } = raw
  const container = {
    id: raw.Id,
    name: raw.Name.replace(/^\//, ''),
    created: raw.Created,
    status: State.Status,
    running: State.Running,
    health: healthOf(State.Health?.Status ?? ''),
    pid: State.Pid ?? 0,
    networkMode: HostConfig.NetworkMode,
    sandboxId: NetworkSettings.SandboxID,
    sandboxKey: NetworkSettings.SandboxKey,
    networks: networksOf(raw),
    exposedPorts: exposedPorts(Config.ExposedPorts),
  }
  return {
    image: raw.Image,
    container: (ofImage) => ({ ...container, ...ownLabels(Config.Labels, ofImage) }),
  }
}

/** A container, all but what its image says. */
export interface DecodedContainer {
  /** Id of its image. */
  readonly image: string
  container(imageLabels: Labels): Container
}

type Labels = Readonly<Record<string, string>>

/**
 * Docker shows an image's labels as the container's. Whoever publishes an image would otherwise choose the identity of
 * those who run it. Compose labels the images that it builds as their containers; those labels are no identity.
 */
function ownLabels(labels: Labels, ofImage: Labels): Pick<Container, 'labels' | 'imageLabels'> {
  const isOwn = (label: string) => labels[label] !== ofImage[label] || label.startsWith(COMPOSE_PREFIX)
  return {
    labels: Object.fromEntries(Object.entries(labels).filter(([label]) => isOwn(label))),
    imageLabels: Object.keys(labels).filter((label) => !isOwn(label)),
  }
}

const COMPOSE_PREFIX = 'com.docker.compose.'

/** `GET /networks` */
export function decodeNetworks(value: unknown): ReadonlyMap<string, Network> {
  return new Map(
    decode(networksSchema, value, 'a network').map(({ Id, Name, Driver, Internal }) => [
      Id,
      { id: Id, name: Name, driver: Driver, internal: Internal ?? false },
    ]),
  )
}

/** One of `GET /events`; undefined when it is of no concern here. Throws DockerError `malformed`. */
export function decodeEvent(value: unknown): DockerEvent | undefined {
  const { Type, Action, Actor } = decode(eventSchema, value, 'an event')
  if (Type === 'network') return { type: Type, action: Action, container: Actor?.Attributes['container'] }
  if (Type !== 'container') return undefined
  // Everything that somebody runs in a container, every look of a health check: nothing changes by it.
  return Action.startsWith('exec_') ? undefined : { type: Type, action: Action, container: Actor?.ID }
}

function healthOf(status: string): Container['health'] {
  if (status === 'healthy' || status === 'unhealthy' || status === 'starting') return status
  return 'none'
}

function networksOf({ State, NetworkSettings }: RawContainer): readonly ContainerNetwork[] {
  return Object.entries(NetworkSettings.Networks)
    .map(([name, { NetworkID, IPAddress, GlobalIPv6Address }]) => ({
      name,
      id: NetworkID,
      addresses: State.Running ? [IPAddress, GlobalIPv6Address].filter(ipaddr.isValid).map(canonical) : [],
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

function canonical(address: string): string {
  return ipaddr.parse(address).toString()
}

/** `80/tcp`; what is of another protocol is not captured. */
function exposedPorts(ports: Readonly<Record<string, unknown>>): readonly number[] {
  return Object.keys(ports)
    .map((key) => /^(\d{1,5})(?:\/tcp)?$/.exec(key)?.[1])
    .filter((port) => port !== undefined)
    .map(Number)
    .sort((a, b) => a - b)
}
