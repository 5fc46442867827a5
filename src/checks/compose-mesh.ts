import { execFile } from 'node:child_process'
import { setTimeout } from 'node:timers/promises'
import { linesOfConnection, parseAccessLine } from './access-line.ts'
import { CheckError } from './errors.ts'
import type { AccessLine, Call, ComposeMesh, ContainerState } from './model.ts'

export interface ComposeMeshOptions {
  /** Folder of docker-compose.yml. */
  readonly root: string
  /** Default: `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>>
}

/** Reads the mesh of the compose file through `docker compose`, and changes nothing of it. */
export function composeMesh({ root, env = process.env }: ComposeMeshOptions): ComposeMesh {
  const docker: Docker = (args) => run(args, root, { ...env, COMPOSE_FILE: env['COMPOSE_FILE'] ?? FILES })
  const project = new Project(docker)
  return {
    accessLog: (services) => readAccessLog(project, services),
    logLines: async (service) => (await project.log(service)).split('\n'),
    call: async (from, url) => {
      const [call] = await callsOf(project, from, url, 1)
      if (call === undefined) throw new CheckError('compose', 'no request was made')
      return call
    },
    calls: (from, url, count) => callsOf(project, from, url, count),
    ask: async (service, url) => parsed(await project.output(service, ['node', '-e', ASK, url])),
    read: (service, path) => project.output(service, ['cat', path]),
    containers: () => project.containers(),
  }
}

/**
 * The containers of the compose file. They are asked for once, in words that every version of compose understands, and
 * Docker's client does the rest: the older compose takes a second for each command.
 */
class Project {
  readonly #docker: Docker
  #listed: Promise<readonly Container[]> | undefined

  constructor(docker: Docker) {
    this.#docker = docker
  }

  containers(): Promise<readonly Container[]> {
    this.#listed ??= this.#list()
    return this.#listed
  }

  async exec(service: string, command: readonly string[]): Promise<Ran> {
    const found = (await this.containers()).find((one) => one.service === service && one.state === 'running')
    if (found !== undefined) return this.#docker(['exec', found.id, ...command])
    throw new CheckError('compose', `${service} does not run: docker compose up -d`)
  }

  /** What a command prints that must not fail. */
  async output(service: string, command: readonly string[]): Promise<string> {
    const ran = await this.exec(service, command)
    if (ran.status === 0) return ran.stdout
    throw new CheckError('compose', `docker compose exec ${service} ${command[0]} …: ${reasonOf(ran)}`)
  }

  /** Of all containers of a service; empty where there is none. */
  async log(service: string): Promise<string> {
    const ids = (await this.containers()).flatMap((one) => (one.service === service ? [one.id] : []))
    const logs = ids.map((id) => this.#docker(['logs', '--tail', String(MAX_LOG_LINES), id]))
    return (await Promise.all(logs)).map(({ stdout }) => stdout).join('')
  }

  async #list(): Promise<readonly Container[]> {
    const listed = await this.#docker(['compose', '--profile', 'waypoint', 'ps', '--all', '--quiet'])
    if (listed.status !== 0) throw new CheckError('compose', `docker compose ps: ${reasonOf(listed)}`)
    const ids = listed.stdout.split('\n').filter((id) => id !== '')
    if (ids.length === 0) return []
    const { stdout } = await this.#docker(['inspect', '--format', CONTAINER_FORMAT, ...ids])
    return stdout.split('\n').flatMap((line): Container[] => {
      const [id = '', service, state] = line.split(' ')
      return service === undefined || state === undefined ? [] : [{ id, service, state }]
    })
  }
}

interface Container extends ContainerState {
  readonly id: string
}

interface Ran {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs Docker's client. */
type Docker = (args: readonly string[]) => Promise<Ran>

/** The mesh, and what the labs add. */
const FILES = 'docker-compose.yml:labs/compose.yml'
/** All whose access log may have a part of a connection. */
const PROXIES = ['proxy-a', 'proxy-b', 'neighbour-sidecar', 'waypoint']
const CONTAINER_FORMAT = '{{.Id}} {{index .Config.Labels "com.docker.compose.service"}} {{.State.Status}}'
/** A check reads no further back, lines. */
const MAX_LOG_LINES = 20_000
/** Of what Docker's client prints. */
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024
const COMPOSE_TIMEOUT_MS = 30_000
const CALL_TIMEOUT_SECONDS = 5
/** A proxy writes a connection's line when it has ended; Docker keeps it a moment later. */
const LINES_TIMEOUT_MS = 3_000
const LINES_PAUSE_MS = 200
const MAX_BODY_CHARACTERS = 4_096
const MAX_REASON_CHARACTERS = 500
/** Where an image has no curl. */
const ASK =
  'fetch(process.argv[1], { signal: AbortSignal.timeout(5000) }).then((r) => r.text()).then((t) => process.stdout.write(t))'
const MARK = '\n-- '
const FORMAT = `${MARK}%{http_code} %{exitcode} %{local_ip} %{local_port}`

async function curl(
  project: Project,
  from: string,
  url: string,
): Promise<Omit<Call, 'lines'> & { readonly clientAddress: string }> {
  const flags = ['--silent', '--max-time', String(CALL_TIMEOUT_SECONDS), '--write-out', FORMAT]
  const { status, stdout, stderr } = await project.exec(from, ['curl', ...flags, url])
  const end = stdout.lastIndexOf(MARK)
  if (end < 0)
    throw new CheckError(
      'compose',
      `no request can be made from ${from}: ${reasonOf({ status, stderr })}: docker compose up -d`,
    )
  const [code, exit, ip, port] = stdout.slice(end + MARK.length).split(' ')
  return {
    from,
    url,
    status: Number(code),
    exit: Number(exit),
    body: stdout.slice(0, end).slice(0, MAX_BODY_CHARACTERS),
    clientAddress: `${ip}:${port}`,
  }
}

/** The logs are read when all are made: that takes longer than a request. */
async function callsOf(project: Project, from: string, url: string, count: number): Promise<readonly Call[]> {
  const answers: Awaited<ReturnType<typeof curl>>[] = []
  while (answers.length < count) answers.push(await curl(project, from, url))
  const until = performance.now() + LINES_TIMEOUT_MS
  for (;;) {
    const log = await readAccessLog(project, PROXIES)
    const calls = answers.map(({ clientAddress, ...answer }): Call => {
      return { ...answer, lines: linesOfConnection(log, clientAddress) }
    })
    if (calls.every(isTold) || performance.now() > until) return calls
    await setTimeout(LINES_PAUSE_MS)
  }
}

/** By the side that has the last word. There need not be one: a server may be gone, or not in the mesh. */
function isTold({ lines }: Call): boolean {
  return lines.some(({ fields, message }) => fields['direction'] === 'inbound' || message === 'request')
}

async function readAccessLog(project: Project, services: readonly string[]): Promise<readonly AccessLine[]> {
  const logs = await Promise.all(
    services.map(async (service) => {
      const lines = (await project.log(service)).split('\n')
      return lines.flatMap((line) => parseAccessLine(service, line) ?? [])
    }),
  )
  return logs.flat()
}

/** Of a traceback, which the older compose prints, only the end. */
function reasonOf({ status, stderr }: Pick<Ran, 'status' | 'stderr'>): string {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '')
  const told = lines[0]?.startsWith('Traceback') === true ? lines.slice(-1) : lines
  return told.join('; ').slice(0, MAX_REASON_CHARACTERS) || `exit status ${status}`
}

function run(
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Ran> {
  const options = { cwd, env, maxBuffer: MAX_OUTPUT_BYTES, timeout: COMPOSE_TIMEOUT_MS }
  return new Promise((resolve, reject) => {
    execFile('docker', args, options, (error, stdout, stderr) => {
      if (error === null) return resolve({ status: 0, stdout, stderr })
      if (typeof error.code === 'number') return resolve({ status: error.code, stdout, stderr })
      const why = error.killed === true ? `no end within ${COMPOSE_TIMEOUT_MS / 1_000} s` : error.message
      reject(
        new CheckError('compose', `docker compose cannot be run: ${why}: is Docker installed?`, {
          cause: error,
        }),
      )
    })
  })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
