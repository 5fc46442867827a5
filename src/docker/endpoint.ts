import { DockerError } from './errors.ts'

/** Where a Docker Engine is. */
export interface DockerEndpoint {
  /** As people write it: `unix:///var/run/docker.sock`, `tcp://127.0.0.1:2375`. */
  readonly text: string
  /** Of a Unix socket. */
  readonly socketPath: string | undefined
  /** What requests are made to; of no meaning with a Unix socket. */
  readonly origin: string
}

/** Docker's own. */
export const DEFAULT_DOCKER_HOST = 'unix:///var/run/docker.sock'

/**
 * Reads an endpoint as Docker's own client reads `DOCKER_HOST`: `unix://` and a path, `tcp://` and host and port
 * (2375 where there is none), or the path alone. Throws DockerError `invalid-endpoint`. TLS and ssh are not spoken.
 */
export function parseDockerEndpoint(text: string): DockerEndpoint {
  if (text.startsWith('/')) return socketEndpoint(text)
  if (text.startsWith('unix://')) {
    const path = text.slice('unix://'.length)
    if (path.startsWith('/')) return socketEndpoint(path)
    throw invalid(text, 'the path of a socket begins with "/"')
  }
  const match = /^(?:tcp|http):\/\/(\[[0-9a-fA-F:.]+\]|[^:/\s]+)(?::(\d{1,5}))?\/?$/.exec(text)
  if (match === null) throw invalid(text, 'unix:///path/of/docker.sock and tcp://HOST:PORT are read')
  const [, host = '', port = DEFAULT_PORT] = match
  if (Number(port) < 1 || Number(port) > 65_535) throw invalid(text, `${port} is no port`)
  return { text: `tcp://${host}:${port}`, socketPath: undefined, origin: `http://${host}:${port}` }
}

const DEFAULT_PORT = '2375'
/** Bytes of `sun_path`, without the zero at its end (unix(7)). */
const MAX_SOCKET_PATH_BYTES = 107

function socketEndpoint(path: string): DockerEndpoint {
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
    throw invalid(path, `the path of a socket has ${MAX_SOCKET_PATH_BYTES} bytes at most`)
  }
  return { text: `unix://${path}`, socketPath: path, origin: 'http://docker' }
}

function invalid(text: string, why: string): DockerError {
  return new DockerError('invalid-endpoint', `"${text}" is no address of a Docker Engine: ${why}`)
}
