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
  return {
    accessLog: (services) => readAccessLog(docker, services),
    logLines: async (service) => (await logOf(docker, service)).split('\n'),
    call: async (from, url) => {
      const [call] = await callsOf(docker, from, url, 1)
      if (call === undefined) throw new CheckError('compose', 'no request was made')
      return call
    },
    calls: (from, url, count) => callsOf(docker, from, url, count),
    ask: async (service, url) => {
      const { stdout } = await succeed(docker, ['exec', '-T', service, 'node', '-e', ASK, url])
      return parsed(stdout)
    },
    read: async (service, path) => (await succeed(docker, ['exec', '-T', service, 'cat', path])).stdout,
    containers: () => containersOf(docker),
  }
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
  docker: Docker,
  from: string,
  url: string,
): Promise<Omit<Call, 'lines'> & { readonly clientAddress: string }> {
  const flags = ['--silent', '--max-time', String(CALL_TIMEOUT_SECONDS), '--write-out', FORMAT]
  const { status, stdout, stderr } = await docker(['compose', 'exec', '-T', from, 'curl', ...flags, url])
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
async function callsOf(docker: Docker, from: string, url: string, count: number): Promise<readonly Call[]> {
  const answers: Awaited<ReturnType<typeof curl>>[] = []
  while (answers.length < count) answers.push(await curl(docker, from, url))
  const until = performance.now() + LINES_TIMEOUT_MS
  for (;;) {
    const log = await readAccessLog(docker, PROXIES)
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

async function readAccessLog(docker: Docker, services: readonly string[]): Promise<readonly AccessLine[]> {
  const logs = await Promise.all(
    services.map(async (service) => {
      const lines = (await logOf(docker, service)).split('\n')
      return lines.flatMap((line) => parseAccessLine(service, line) ?? [])
    }),
  )
  return logs.flat()
}

/** Empty for a service that is on no profile in use. */
async function logOf(docker: Docker, service: string): Promise<string> {
  const flags = ['--no-color', '--no-log-prefix', '--tail', String(MAX_LOG_LINES)]
  const { status, stdout } = await docker(['compose', '--profile', '*', 'logs', ...flags, service])
  return status === 0 ? stdout : ''
}

/** In words that every version of compose understands. */
async function containersOf(docker: Docker): Promise<readonly ContainerState[]> {
  const { stdout: ids } = await succeed(docker, ['ps', '--all', '--quiet'])
  const listed = ids.split('\n').filter((id) => id !== '')
  if (listed.length === 0) return []
  const format = '{{index .Config.Labels "com.docker.compose.service"}} {{.State.Status}}'
  const { stdout } = await docker(['inspect', '--format', format, ...listed])
  return stdout.split('\n').flatMap((line): ContainerState[] => {
    const [service, state] = line.split(' ')
    return service === undefined || state === undefined ? [] : [{ service, state }]
  })
}

async function succeed(docker: Docker, args: readonly string[]): Promise<Ran> {
  const ran = await docker(['compose', ...args])
  if (ran.status === 0) return ran
  throw new CheckError('compose', `docker compose ${args.slice(0, 3).join(' ')} …: ${reasonOf(ran)}`)
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
