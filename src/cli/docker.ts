import process from 'node:process'
import { Option } from 'commander'

/** `--docker [endpoint]`, as every command that reads a Docker Engine has it. */
export function dockerOption(description: string): Option {
  return new Option(
    '--docker [endpoint]',
    `${description}; unix:///path, tcp://HOST:PORT, by default DOCKER_HOST, else unix:///var/run/docker.sock`,
  )
}

/** What `--docker` names; undefined without it. */
export function dockerEndpoint(given: string | true | undefined): string | undefined {
  if (given !== true) return given
  const host = process.env['DOCKER_HOST']
  return host === undefined || host === '' ? 'unix:///var/run/docker.sock' : host
}
