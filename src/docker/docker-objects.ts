import {
  isSame,
  type KubernetesObject,
  type KubernetesObjects,
  type ObjectProvider,
  objectId,
  type ProvidedObjects,
} from '../xds/kubernetes/index.ts'
import { DockerClient } from './client.ts'
import { type Fleet, fleetOf } from './fleet.ts'
import { podOf, servicesOf } from './kubernetes-objects.ts'
import type { ContainerProblem } from './labels.ts'
import { type DockerLog, DockerWatch } from './watch.ts'

export interface DockerObjectsOptions {
  /** As `DOCKER_HOST`. */
  readonly endpoint: string
  readonly log: DockerLog
}

/** A Docker Engine's containers and their services, for a config server. */
export class DockerObjects implements ObjectProvider {
  readonly #options: DockerObjectsOptions
  readonly #client: DockerClient
  #watch: DockerWatch | undefined
  #fleet: Fleet = { members: [], refused: [], problems: [] }
  #kept: ReadonlyMap<string, KubernetesObject> = new Map()

  /** Throws DockerError `invalid-endpoint`. */
  constructor(options: DockerObjectsOptions) {
    this.#options = options
    this.#client = new DockerClient(options.endpoint)
  }

  get name(): string {
    return `Docker at ${this.#client.endpoint.text}`
  }

  /** Rejects with DockerError. */
  async start(onChange: () => void): Promise<void> {
    const { log } = this.#options
    this.#watch = await DockerWatch.start({
      client: this.#client,
      log,
      onChange: () => {
        this.#look()
        onChange()
      },
    })
    this.#look()
  }

  objects(besides: KubernetesObjects): ProvidedObjects {
    const { members, problems } = this.#fleet
    const { services, problems: ofServices } = servicesOf(members, besides)
    const pods = members
      .filter(({ container }) => container.running)
      .map((member) => podOf(member, besides.gateways))
    const kept = new Map<string, KubernetesObject>()
    for (const object of [...pods, ...services]) {
      const id = objectId(object)
      const before = this.#kept.get(id)
      kept.set(id, before !== undefined && isSame(before, object) ? before : object)
    }
    this.#kept = kept
    const gone = this.#watch?.problem
    return {
      objects: [...kept.values()],
      problems: [
        ...(gone === undefined ? [] : [{ severity: 'error' as const, text: gone.message }]),
        ...[...problems, ...ofServices].map((problem) => ({
          severity: problem.severity,
          text: textOf(problem),
        })),
      ],
    }
  }

  parts(): ReturnType<ObjectProvider['parts']> {
    const { members, refused } = this.#fleet
    return [
      ...members.map(({ container, service }) => ({
        name: `container ${container.name}`,
        state: container.status,
        objects: Number(container.running) + Number(service !== undefined),
      })),
      ...refused.map(({ container }) => ({
        name: `container ${container.name}`,
        state: 'refused',
        objects: 0,
      })),
    ]
  }

  async close(): Promise<void> {
    await this.#watch?.close()
    await this.#client.close()
  }

  #look(): void {
    if (this.#watch !== undefined) this.#fleet = fleetOf(this.#watch.snapshot)
  }
}

/** One line of a container's problem. */
export function textOf({ container, message }: ContainerProblem): string {
  return `container ${container}: ${message}`
}
