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

/** Starts one, with the base image in it. */
export async function startEngine(options: { readonly liveRestore?: boolean } = {}): Promise<Engine> {
  const directory = mkdtempSync(join(tmpdir(), 'docker-engine-'))
  const engine = new OwnEngine(directory, options.liveRestore ?? false)
  await engine.start()
  const root = join(directory, 'root')
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

class OwnEngine implements Engine {
  readonly socket: string
  readonly host: string
  readonly #directory: string
  readonly #liveRestore: boolean
  #daemon: ChildProcess | undefined

  constructor(directory: string, liveRestore: boolean) {
    this.#directory = directory
    this.#liveRestore = liveRestore
    this.socket = join(directory, 'docker.sock')
    this.host = `unix://${this.socket}`
  }

  async docker(...args: readonly string[]): Promise<string> {
    const env = { ...process.env, DOCKER_HOST: this.host }
    const { stdout } = await promisify(execFile)('docker', args, { env })
    return stdout.trim()
  }

  async start(): Promise<void> {
    const at = (name: string) => join(this.#directory, name)
    const folders = ['--data-root', at('data'), '--exec-root', at('exec'), '--pidfile', at('pid')]
    const flags = this.#liveRestore ? ['--live-restore'] : []
    const log = openSync(at('log'), 'a')
    const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` }
    this.#daemon = spawn('dockerd', [...folders, ...flags, '-H', this.host], {
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
    if (running !== '') await this.docker('rm', '-f', ...running.split('\n'))
    await this.#end('SIGTERM')
    // What is mounted below goes with the mount namespace; the files would stay.
    execFileSync('sh', [
      '-c',
      `grep -o ' ${this.#directory}[^ ]*' /proc/mounts | sort -r | xargs -r umount -l`,
    ])
    rmSync(this.#directory, { recursive: true, force: true })
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const daemon = this.#daemon
    if (daemon === undefined || daemon.exitCode !== null || daemon.signalCode !== null) return
    daemon.kill(signal)
    await once(daemon, 'exit')
  }
}
