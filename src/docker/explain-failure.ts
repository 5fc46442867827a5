import { statSync } from 'node:fs'
import type { DockerEndpoint } from './endpoint.ts'
import { DockerError } from './errors.ts'

/** Says what a request's failure means to whoever runs us, and what to do about it. */
export function explainFailure(cause: unknown, endpoint: DockerEndpoint): DockerError {
  if (cause instanceof DockerError) return cause
  const { text, socketPath } = endpoint
  const fail = (code: DockerError['code'], message: string) => new DockerError(code, message, { cause })
  const code = codeOf(cause)
  if (code === 'ENOENT') return fail('socket-absent', absent(socketPath ?? text))
  if (code === 'EACCES' || code === 'EPERM') return fail('permission-denied', forbidden(socketPath ?? text))
  if (code === 'ECONNREFUSED' && socketPath !== undefined && isFolder(socketPath)) {
    const message = `${socketPath} is a folder: Docker makes one where a mount's source is missing. Remove it, start Docker, and start this container anew`
    return fail('socket-absent', message)
  }
  if (code === 'ECONNREFUSED') {
    return fail(
      'unreachable',
      `nobody answers at ${text}: the Docker daemon is not running; start it (systemctl start docker)`,
    )
  }
  if (cause instanceof Error && cause.name === 'HTTPParserError') {
    return fail(
      'not-docker',
      `what answers at ${text} does not speak HTTP: it is no Docker Engine, or one that wants TLS`,
    )
  }
  if (TIMEOUTS.has(code)) {
    return fail(
      'unreachable',
      `the Docker daemon at ${text} does not answer; its log (journalctl -u docker) may say why`,
    )
  }
  if (code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE') {
    return fail(
      'unreachable',
      `the Docker daemon at ${text} closed the connection: it has ended, or is being restarted`,
    )
  }
  const why = cause instanceof Error ? cause.message : String(cause)
  return fail('unreachable', `the Docker daemon at ${text} cannot be reached: ${why}`)
}

const TIMEOUTS: ReadonlySet<string> = new Set([
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'ETIMEDOUT',
])

function absent(path: string): string {
  return `there is no ${path}: is Docker installed and running? In a container, mount it (-v /var/run/docker.sock:/var/run/docker.sock); elsewhere, name it (--docker unix:///path/of/docker.sock)`
}

function forbidden(path: string): string {
  const group = groupOf(path)
  const who =
    group === undefined ? '' : ` (group ${group}: docker run --group-add ${group}, or group_add in compose)`
  return `${path} may not be opened: run as root, or as a member of the socket's group${who}`
}

function groupOf(path: string): number | undefined {
  try {
    return statSync(path).gid
  } catch {
    return undefined
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}

/** The system's or the HTTP client's name of an error, also of one that several addresses share. */
function codeOf(cause: unknown): string {
  if (typeof cause !== 'object' || cause === null) return ''
  if ('code' in cause && typeof cause.code === 'string') return cause.code
  return cause instanceof AggregateError ? codeOf(cause.errors[0]) : ''
}
