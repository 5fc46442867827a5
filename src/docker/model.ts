/** A container, as far as a mesh is concerned. */
export interface Container {
  /** 64 hexadecimal digits. */
  readonly id: string
  /** Without the slash in front. */
  readonly name: string
  /** RFC 3339. Decides among two that claim the same. */
  readonly created: string
  /** Its own. */
  readonly labels: Readonly<Record<string, string>>
  /** Names of labels that it has from its image and that count for nothing. */
  readonly imageLabels: readonly string[]
  /** `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`. */
  readonly status: string
  /** Its processes exist, be they paused. */
  readonly running: boolean
  /** By its health check. `none`: it has no health check. */
  readonly health: 'healthy' | 'unhealthy' | 'starting' | 'none'
  /** In the engine's process namespace; 0 when it does not run. */
  readonly pid: number
  /** `bridge`, `host`, `none`, `container:<id>`, or the name of a network. */
  readonly networkMode: string
  /** Changes with every start. Empty: it has no network namespace of its own. */
  readonly sandboxId: string
  /** Path of the network namespace in the engine's mount namespace. It may be that of an earlier start. */
  readonly sandboxKey: string
  readonly networks: readonly ContainerNetwork[]
  /** TCP ports that the image or the container exposes, ascending. */
  readonly exposedPorts: readonly number[]
}

/** A container's place in a network. */
export interface ContainerNetwork {
  readonly name: string
  readonly id: string
  /** Canonical text: of each family at most one, IPv4 first. Empty while it does not run. */
  readonly addresses: readonly string[]
}

/** A network of the engine. */
export interface Network {
  readonly id: string
  readonly name: string
  readonly driver: string
  /** It has no way out, and so no default route. */
  readonly internal: boolean
}

/** What an engine has at one moment. */
export interface DockerSnapshot {
  /** The name of the machine that the engine runs on. */
  readonly hostName: string
  /** By id. Stopped ones too. */
  readonly containers: ReadonlyMap<string, Container>
  /** By id. */
  readonly networks: ReadonlyMap<string, Network>
}

/** What happened to something. */
export interface DockerEvent {
  readonly type: 'container' | 'network'
  readonly action: string
  /** The container that it concerns, if it concerns one. */
  readonly container: string | undefined
}
