import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { until } from '../../support/until.ts'
import { BASE_IMAGE, writeRootFileSystem } from './base-image.ts'

/** A Docker Engine of the test's own, in the namespaces that the test is in. */
export interface Engine {
  /** Where it keeps all that it has: sockets, images, and the network namespaces in `exec/netns`. */
  readonly directory: string
  /** As `DOCKER_HOST`. */
  readonly host: string
  readonly socket: string
  /** Runs Docker's client and returns what it printed. */
  docker(...args: readonly string[]): Promise<string>
  /** Ends the daemon by SIGTERM and starts it again. */
  restart(): Promise<void>
  /** Kills the daemon; containers go on where it was started with `liveRestore`. */
  kill(): Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
}

const START_TIMEOUT_MS = 60_000
const END_TIMEOUT_MS = 45_000

/** Starts one, with the base image in it. */
export async function startEngine(options: { readonly liveRestore?: boolean } = {}): Promise<Engine> {
  const engine = await startBareEngine(options.liveRestore === true ? ['--live-restore'] : [])
  const root = join(engine.directory, 'root')
  mkdirSync(root)
  writeRootFileSystem(root)
  const environment = ['--change', 'ENV PATH=/usr/bin:/bin']
  const tar = spawn('tar', ['-C', root, '-c', '.'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const load = spawn('docker', ['import', ...environment, '-', BASE_IMAGE], {
    stdio: [tar.stdout, 'ignore', 'inherit'],
    env: { ...process.env, DOCKER_HOST: engine.host },
  })
  await once(load, 'exit')
  rmSync(root, { recursive: true, force: true })
  return engine
}

/** Starts one with nothing in it; `flags` are dockerd's. */
export async function startBareEngine(flags: readonly string[] = []): Promise<Engine> {
  const engine = new OwnEngine(mkdtempSync(join(tmpdir(), 'docker-engine-')), flags)
  try {
    await engine.start()
  } catch (error) {
    // A daemon that goes on would keep the test from its end.
    await engine.stop()
    throw error
  }
  return engine
}

class OwnEngine implements Engine {
  readonly socket: string
  readonly host: string
  readonly directory: string
  readonly #flags: readonly string[]
  #daemon: ChildProcess | undefined

  constructor(directory: string, flags: readonly string[]) {
    this.directory = directory
    this.#flags = flags
    this.socket = join(directory, 'docker.sock')
    this.host = `unix://${this.socket}`
  }

  async docker(...args: readonly string[]): Promise<string> {
    const env = { ...process.env, DOCKER_HOST: this.host }
    const { stdout } = await promisify(execFile)('docker', args, { env })
    return stdout.trim()
  }

  async start(): Promise<void> {
    const at = (name: string) => join(this.directory, name)
    const folders = ['--data-root', at('data'), '--exec-root', at('exec'), '--pidfile', at('pid')]
    const log = openSync(at('log'), 'a')
    const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` }
    this.#daemon = spawn('dockerd', [...folders, ...this.#flags, '-H', this.host], {
      stdio: ['ignore', log, log],
      env,
    })
    const answers = () =>
      this.docker('version').then(
        () => true,
        () => {
          if (this.#daemon?.exitCode === null) return false
          throw new Error(`dockerd ended:\n${readFileSync(at('log'), 'utf8').slice(-2_000)}`)
        },
      )
    await until(answers, 'dockerd answers', START_TIMEOUT_MS)
  }

  async restart(): Promise<void> {
    await this.#end('SIGTERM')
    await this.start()
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  async stop(): Promise<void> {
    const running = await this.docker('ps', '-aq').catch(() => '')
    // What cannot be removed goes with the process namespace; the daemon must be ended whatever it says.
    if (running !== '') await this.docker('rm', '-f', ...running.split('\n')).catch(() => {})
    await this.#end('SIGTERM')
    // What is mounted below goes with the mount namespace; the files would stay.
    execFileSync('sh', [
      '-c',
      `grep -o ' ${this.directory}[^ ]*' /proc/mounts | sort -r | xargs -r umount -l`,
    ])
    rmSync(this.directory, { recursive: true, force: true })
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const daemon = this.#daemon
    if (daemon === undefined || daemon.exitCode !== null || daemon.signalCode !== null) return
    daemon.kill(signal)
    // One that hangs at its end is no reason to wait for the test's own time-out.
    const impatience = setTimeout(() => daemon.kill('SIGKILL'), END_TIMEOUT_MS)
    await once(daemon, 'exit')
    clearTimeout(impatience)
  }
}
