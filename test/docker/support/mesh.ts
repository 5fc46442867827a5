import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { until } from '../../support/until.ts'
import { BASE_IMAGE } from './base-image.ts'
import type { Engine } from './engine.ts'

const ZTUNNEL = resolve(import.meta.dirname, '../../../bin/ztunnel.js')
/** The Docker network that the containers are in. */
export const NETWORK = 'mesh'

/** One that hangs at its end is no reason to wait for the test's own time-out. */
const END_TIMEOUT_MS = 20_000

export type Role = 'agent' | 'proxy'

/** Which nodes there are, and the address by which each reaches the control plane. */
const NODES = { 'node-a': 1, 'node-b': 2 } as const
export type NodeName = keyof typeof NODES

/** A config server, and two nodes with agent and proxy each, for the containers of an engine. */
export class DockerMesh {
  readonly engine: Engine
  readonly directory = mkdtempSync(join(tmpdir(), 'docker-mesh-'))
  readonly #processes = new Map<string, ChildProcess>()

  private constructor(engine: Engine) {
    this.engine = engine
  }

  /** Leaves nothing behind when it fails: a process that goes on would keep the test from its end. */
  static async start(engine: Engine): Promise<DockerMesh> {
    const mesh = new DockerMesh(engine)
    try {
      await mesh.#startAll()
    } catch (error) {
      await mesh.stop()
      throw error
    }
    return mesh
  }

  async startConfigServer(): Promise<void> {
    const ips = Object.values(NODES).flatMap((node) => ['--ip', `10.91.${node}.1`])
    const folders = ['--config', this.#at('config'), '--certs', this.#at('certs')]
    this.#spawn('config-server', ['config-server', '--docker', ...folders, ...ips])
    await this.untilLogged('config-server', /config server ready/)
  }

  /** `name` tells a second agent of a node from the first. */
  startAgent(node: NodeName, flags: readonly string[] = [], name = `agent@${node}`): void {
    const socket = this.#at(`run/${name}.sock`)
    this.#spawn(name, ['agent', '--docker', '--node', node, '--zds-socket', socket, ...flags], { node })
  }

  startProxy(node: NodeName): void {
    const token = this.#at(`run/${node}.token`)
    const create = ['token', 'create', '--certs', this.#at('certs'), '--node', node]
    writeFileSync(token, execFileSync(process.execPath, [ZTUNNEL, ...create]))
    const controlPlane = `https://10.91.${NODES[node]}.1:15012`
    const root = this.#at('certs/root-cert.pem')
    const env = {
      PROXY_MODE: 'shared',
      NODE_NAME: node,
      INPOD_UDS: this.#at(`run/agent@${node}.sock`),
      XDS_ADDRESS: controlPlane,
      CA_ADDRESS: controlPlane,
      XDS_ROOT_CA: root,
      CA_ROOT_CA: root,
      AUTH_TOKEN: token,
    }
    this.#spawn(`proxy@${node}`, ['proxy'], { node, env })
  }

  /** Ends a process and waits until it has ended. */
  async end(name: string, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#processes.get(name)
    this.#processes.delete(name)
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    const impatience = setTimeout(() => child.kill('SIGKILL'), END_TIMEOUT_MS)
    await once(child, 'exit')
    clearTimeout(impatience)
  }

  /** Runs a container of compose service `service` in project `demo`; `flags` come before the image. */
  async run(
    name: string,
    service: string,
    node: NodeName,
    flags: readonly string[] = [],
    command: readonly string[] = ['node', '/server.ts', '8080'],
  ): Promise<void> {
    const labels = {
      'com.docker.compose.project': 'demo',
      'com.docker.compose.service': service,
      'istio.io/dataplane-mode': 'ambient',
      'ztunnel.node': node,
      'ztunnel.service-account': service,
      'ztunnel.ports': '80:8080/http',
    }
    const labelFlags = Object.entries(labels).flatMap(([label, value]) => ['--label', `${label}=${value}`])
    const place = flags.some((flag) => flag.startsWith('--network')) ? [] : ['--network', NETWORK]
    const host = [
      '--name',
      name,
      ...(flags.some((flag) => flag.startsWith('--network=')) ? [] : ['--hostname', name]),
    ]
    await this.engine.docker(
      'run',
      '-d',
      '--stop-timeout',
      '1',
      ...host,
      ...place,
      ...labelFlags,
      ...flags,
      BASE_IMAGE,
      ...command,
    )
  }

  /** Who answered, how often. */
  async ask(container: string, url: string, count = 1): Promise<Readonly<Record<string, number>>> {
    const printed = await this.engine.docker('exec', container, 'node', '/client.ts', url, String(count))
    const answers: Record<string, number> = JSON.parse(printed)
    return answers
  }

  /** Waits until the answers are from these and no others. */
  async untilAnsweredBy(
    container: string,
    url: string,
    names: readonly string[],
    what: string,
  ): Promise<void> {
    let last: Readonly<Record<string, number>> = {}
    const answered = async () => {
      last = await this.ask(container, url, 12 * Math.max(1, names.length))
      return Object.keys(last).sort().join() === [...names].sort().join()
    }
    await until(answered, what, 30_000).catch((error: Error) => {
      throw new Error(`${error.message}; answered: ${JSON.stringify(last)}`)
    })
  }

  log(name: string): string {
    try {
      return readFileSync(this.#at(`${name}.log`), 'utf8')
    } catch {
      return ''
    }
  }

  /** Waits for text in a log, from the given length on. */
  async untilLogged(name: string, pattern: RegExp, from = 0): Promise<void> {
    await until(() => pattern.test(this.log(name).slice(from)), `${name}: ${pattern}`, 30_000).catch(
      (error: Error) => {
        throw new Error(`${error.message}\n${this.log(name).slice(-3_000)}`)
      },
    )
  }

  /** `/status` of the config server. */
  async status(): Promise<{ source: { problems: { text: string }[] } }> {
    const response = await fetch('http://127.0.0.1:15014/status')
    const status: { source: { problems: { text: string }[] } } = JSON.parse(await response.text())
    return status
  }

  writeConfig(file: string, text: string): void {
    writeFileSync(this.#at(`config/${file}`), text)
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#processes.keys()].map((name) => this.end(name)))
    rmSync(this.directory, { recursive: true, force: true })
  }

  async #startAll(): Promise<void> {
    for (const folder of ['config', 'certs', 'run']) mkdirSync(join(this.directory, folder))
    // In a container of its own the proxy would have Docker's name server too.
    writeFileSync(join(this.directory, 'resolv.conf'), 'nameserver 127.0.0.11\noptions ndots:0\n')
    await this.engine.docker('network', 'create', '--subnet', '10.90.0.0/24', NETWORK)
    for (const node of Object.keys(NODES)) addNode(node, NODES[node as NodeName])
    await this.startConfigServer()
    await Promise.all(
      (['node-a', 'node-b'] as const).map(async (node) => {
        this.startAgent(node)
        this.startProxy(node)
        await this.untilLogged(`proxy@${node}`, /marking server ready/)
      }),
    )
  }

  #at(path: string): string {
    return join(this.directory, path)
  }

  /**
   * A proxy has Docker's name server, as it would in a container. The agent of the second node sees nothing of what the
   * engine mounts, and has to find namespaces by their processes.
   */
  #inMounts(name: string): readonly string[] {
    if (name.startsWith('agent@node-a')) return []
    const mount = `mount --bind ${this.#at('resolv.conf')} /etc/resolv.conf && exec "$@"`
    return ['unshare', '--mount', 'sh', '-c', mount, 'sh']
  }

  #spawn(
    name: string,
    argv: readonly string[],
    { node, env = {} }: { node?: NodeName; env?: Readonly<Record<string, string>> } = {},
  ): void {
    const log = openSync(this.#at(`${name}.log`), 'a')
    const [program = '', ...args] =
      node === undefined
        ? [process.execPath, ZTUNNEL, ...argv]
        : ['nsenter', `--net=/run/netns/${node}`, ...this.#inMounts(name), process.execPath, ZTUNNEL, ...argv]
    const child = spawn(program, args, {
      stdio: ['ignore', log, log],
      env: { ...process.env, DOCKER_HOST: this.engine.host, ...env },
    })
    this.#processes.set(name, child)
  }
}

/** A network of the node's own: proxies bind the same ports, and the host's is where the control plane is. */
function addNode(node: string, number: number): void {
  const ip = (...args: readonly string[]) => execFileSync('ip', args)
  ip('netns', 'add', node)
  ip('link', 'add', `veth-${number}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', node)
  ip('addr', 'add', `10.91.${number}.1/24`, 'dev', `veth-${number}`)
  ip('link', 'set', `veth-${number}`, 'up')
  ip('-n', node, 'addr', 'add', `10.91.${number}.2/24`, 'dev', 'eth0')
  ip('-n', node, 'link', 'set', 'lo', 'up')
  ip('-n', node, 'link', 'set', 'eth0', 'up')
}
