import { execFile, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { until } from '../../support/until.ts'
import type { Engine } from './engine.ts'
import { installPrograms } from './install-engine.ts'

const ROOT = resolve(import.meta.dirname, '../../..')
const PROJECT = 'demo'
const PATIENCE_MS = 60_000

/** Docker's own compose where it is installed, else Debian's, which is the one before. */
export function installCompose(): void {
  if (!hasPlugin()) installPrograms({ 'docker-compose': 'docker-compose' })
}

/** What curl has to say of one request. */
export interface Answer {
  /** 0: none. */
  readonly status: number
  readonly body: string
}

/** docker-compose.yml of the repository, in a folder of its own whose policies a test may edit. */
export class ComposeProject {
  readonly directory = mkdtempSync(join(tmpdir(), 'compose-'))
  readonly #engine: Engine
  readonly #command = hasPlugin() ? ['docker', 'compose'] : ['docker-compose']

  constructor(engine: Engine) {
    this.#engine = engine
    mkdirSync(join(this.directory, 'compose'))
    cpSync(join(ROOT, 'docker-compose.yml'), join(this.directory, 'docker-compose.yml'))
    cpSync(join(ROOT, 'compose'), join(this.directory, 'compose'), { recursive: true })
  }

  /** Runs the compose command and returns what it printed. */
  compose(...args: readonly string[]): Promise<string> {
    const [program = '', ...rest] = this.#command
    return this.#run(program, [...rest, '-p', PROJECT, ...args])
  }

  /** The container of a service, or the first of several. */
  async container(service: string): Promise<string> {
    const [id] = await this.#containers(service)
    if (id === undefined) throw new Error(`service ${service} has no container`)
    return id
  }

  /** In the project's network. */
  async address(service: string): Promise<string> {
    const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'
    return this.#engine.docker('inspect', '-f', format, await this.container(service))
  }

  /** A request out of the container of a service, in a connection of its own. */
  async curl(from: string, url: string): Promise<Answer> {
    const flags = ['-s', '--max-time', '5', '-w', '\n%{http_code}', url]
    const said = await this.#run('docker', ['exec', await this.container(from), 'curl', ...flags], true)
    const end = said.lastIndexOf('\n')
    return { status: Number(said.slice(end + 1)), body: said.slice(0, end) }
  }

  async untilAnswered(url: string, status: number): Promise<Answer> {
    let last: Answer | undefined
    const answered = async () => {
      last = await this.curl('sleep', url)
      return last.status === status
    }
    await until(answered, `${url}: ${status}`, PATIENCE_MS).catch(async (error: Error) => {
      throw new Error(`${error.message}; last ${JSON.stringify(last)}\n${await this.logs()}`)
    })
    return last ?? { status: 0, body: '' }
  }

  /** The last lines of a service's containers, or of all. */
  async logs(service?: string): Promise<string> {
    const logs = (await this.#containers(service)).map((id) =>
      this.#run('sh', ['-c', 'exec docker logs --tail 2000 "$0" 2>&1', id]),
    )
    return (await Promise.all(logs)).join('\n')
  }

  async untilLogged(service: string, pattern: RegExp): Promise<void> {
    let log = ''
    const logged = async () => {
      log = await this.logs(service)
      return pattern.test(log)
    }
    await until(logged, `${service}: ${pattern}`, PATIENCE_MS).catch((error: Error) => {
      throw new Error(`${error.message}\n${log.slice(-4_000)}`)
    })
  }

  /** Changes a file of the policies, as an editor does it. */
  edit(file: string, change: (text: string) => string): void {
    const path = join(this.directory, 'compose/policies', file)
    writeFileSync(path, change(readFileSync(path, 'utf8')))
  }

  async down(): Promise<void> {
    await this.compose('--profile', 'waypoint', '--profile', 'sidecar', 'down', '--volumes', '--timeout', '5')
    rmSync(this.directory, { recursive: true, force: true })
  }

  /** By Docker, which answers sooner than compose. */
  async #containers(service?: string): Promise<readonly string[]> {
    const label = 'label=com.docker.compose'
    const filters = [
      `${label}.project=${PROJECT}`,
      ...(service === undefined ? [] : [`${label}.service=${service}`]),
    ]
    const ids = await this.#engine.docker('ps', '-aq', ...filters.flatMap((filter) => ['--filter', filter]))
    return ids.split('\n').filter((id) => id !== '')
  }

  #run(program: string, args: readonly string[], mayFail = false): Promise<string> {
    const env = {
      ...process.env,
      DOCKER_HOST: this.#engine.host,
      DOCKER_SOCKET: this.#engine.socket,
      DOCKER_NETNS: join(this.#engine.directory, 'exec/netns'),
    }
    const options = { env, cwd: this.directory, maxBuffer: MAX_OUTPUT_BYTES }
    return new Promise((resolve, reject) => {
      execFile(program, args, options, (error, stdout, stderr) => {
        if (error === null || mayFail) resolve(stdout.trimEnd())
        else reject(new Error(`${program} ${args.join(' ')}: ${error.message}\n${stdout}${stderr}`))
      })
    })
  }
}

/** Logs of a dozen containers. */
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024

function hasPlugin(): boolean {
  return spawnSync('docker', ['compose', 'version']).status === 0
}
