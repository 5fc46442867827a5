import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Container, DockerSnapshot, Network } from './model.ts'

/** A container as the engine's API has it, by the fields that tests vary. */
export interface ScriptedContainer {
  readonly Id: string
  readonly Name: string
  readonly [field: string]: unknown
}

type Respond = (request: IncomingMessage, response: ServerResponse) => boolean

/** A Docker Engine that answers what it is told to, on a Unix socket. */
export class ScriptedEngine {
  readonly socketPath: string
  readonly containers = new Map<string, ScriptedContainer>()
  /** Labels by image id. */
  readonly images = new Map<string, Readonly<Record<string, string>>>()
  readonly networks: unknown[] = [{ Id: 'net-1', Name: 'demo_default', Driver: 'bridge', Internal: false }]
  /** Paths asked for, in order. */
  readonly asked: string[] = []
  apiVersion: string | undefined = '1.41'
  /** Answers in the engine's place; true when it did. */
  respond: Respond = () => false
  readonly #directory = mkdtempSync(join(tmpdir(), 'scripted-engine-'))
  #server: Server | undefined
  #listeners = new Set<ServerResponse>()

  private constructor() {
    this.socketPath = join(this.#directory, 'docker.sock')
  }

  static async start(t: Test): Promise<ScriptedEngine> {
    const engine = new ScriptedEngine()
    await engine.start()
    t.teardown(async () => {
      await engine.stop()
      rmSync(engine.#directory, { recursive: true, force: true })
    })
    return engine
  }

  get endpoint(): string {
    return `unix://${this.socketPath}`
  }

  /** How many follow the events. */
  get followers(): number {
    return this.#listeners.size
  }

  async start(): Promise<void> {
    this.#server = createServer((request, response) => this.#answer(request, response))
    this.#server.listen(this.socketPath)
    await once(this.#server, 'listening')
  }

  /** As at the end of a daemon: every connection ends, the socket goes. */
  async stop(): Promise<void> {
    const server = this.#server
    if (server === undefined) return
    this.#server = undefined
    this.#listeners.clear()
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }

  put(container: ScriptedContainer): void {
    this.containers.set(container.Id, container)
  }

  /** Tells those who follow what happened. */
  emit(event: object): void {
    this.send(`${JSON.stringify(event)}\n`)
  }

  containerEvent(action: string, id: string): void {
    this.emit({ Type: 'container', Action: action, Actor: { ID: id, Attributes: {} } })
  }

  /** Sends those who follow just this. */
  send(text: string): void {
    for (const response of this.#listeners) response.write(text)
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? ''
    this.asked.push(path)
    if (this.respond(request, response)) return
    const [, resource = path] = /^\/v\d\.\d+(\/.*)$/.exec(path) ?? []
    if (resource === '/_ping') {
      if (this.apiVersion !== undefined) response.setHeader('Api-Version', this.apiVersion)
      response.end('OK')
    } else if (resource === '/info')
      reply(response, { ID: 'engine', Name: 'Host-1', ServerVersion: '20.10.24' })
    else if (resource === '/networks') reply(response, this.networks)
    else if (resource.startsWith('/containers/json')) {
      reply(
        response,
        [...this.containers.keys()].map((Id) => ({ Id })),
      )
    } else if (resource.startsWith('/containers/')) {
      const container = this.containers.get(resource.split('/')[2] ?? '')
      if (container === undefined) reply(response, { message: 'No such container' }, 404)
      else reply(response, container)
    } else if (resource.startsWith('/images/')) {
      const Labels = this.images.get(decodeURIComponent(resource.split('/')[2] ?? ''))
      if (Labels === undefined) reply(response, { message: 'No such image' }, 404)
      else reply(response, { Config: { Labels } })
    } else if (resource.startsWith('/events')) this.#follow(response)
    else reply(response, { message: 'page not found' }, 404)
  }

  #follow(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    this.#listeners.add(response)
    response.on('close', () => this.#listeners.delete(response))
  }
}

/** The engine's description of a container, running in network `demo_default` unless `fields` say otherwise. */
export function rawContainer(name: string, fields: Readonly<Record<string, object>> = {}): ScriptedContainer {
  const Id = `${name}-`.padEnd(64, '0')
  return {
    Id,
    Name: `/${name}`,
    Created: '2026-11-21T10:00:00Z',
    State: { Status: 'running', Running: true, Paused: false, Pid: 4242, ...fields['State'] },
    Config: {
      Labels: { 'istio.io/dataplane-mode': 'ambient', ...fields['Labels'] },
      ExposedPorts: null,
      ...fields['Config'],
    },
    HostConfig: { NetworkMode: 'demo_default', ...fields['HostConfig'] },
    NetworkSettings: {
      SandboxID: 'a'.repeat(64),
      SandboxKey: '/var/run/docker/netns/aaaaaaaaaaaa',
      Networks: { demo_default: { NetworkID: 'net-1', IPAddress: '172.18.0.2', GlobalIPv6Address: '' } },
      ...fields['NetworkSettings'],
    },
  }
}

/** A container as we read it. */
export function aContainer(name: string, overrides: Partial<Container> = {}): Container {
  return {
    id: `${name}-`.padEnd(64, '0'),
    name,
    created: '2026-11-21T10:00:00Z',
    labels: { 'istio.io/dataplane-mode': 'ambient' },
    imageLabels: [],
    status: 'running',
    running: true,
    health: 'none',
    pid: 4242,
    networkMode: 'demo_default',
    sandboxId: 'a'.repeat(64),
    sandboxKey: '/var/run/docker/netns/aaaaaaaaaaaa',
    networks: [{ name: 'demo_default', id: 'net-1', addresses: ['172.18.0.2'] }],
    exposedPorts: [],
    ...overrides,
  }
}

/** An engine's picture with these containers. */
export function aSnapshot(
  containers: readonly Container[],
  networks: readonly Network[] = [],
): DockerSnapshot {
  return {
    hostName: 'Host-1',
    containers: new Map(containers.map((container) => [container.id, container])),
    networks: new Map(networks.map((network) => [network.id, network])),
  }
}

function reply(response: ServerResponse, value: unknown, code = 200): void {
  response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}
