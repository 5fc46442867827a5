import { once } from 'node:events'
import { isIP } from 'node:net'
import process from 'node:process'
import { Command, InvalidArgumentError, Option } from 'commander'
import type { ListenAddress } from '../config-server/index.ts'
import type { IdentityLog } from '../identity/index.ts'
// Not from its index, which loads the certificate library: every command starts from one program.
import { DEFAULT_TTL_SECONDS } from '../identity/svid-ttl.ts'
import { formatHostPort } from '../mesh/addresses.ts'
import type { Logger } from '../telemetry/index.ts'
import { dockerEndpoint, dockerOption } from './docker.ts'
import { parseSvidTtl } from './duration.ts'

interface Options {
  readonly config: readonly string[]
  readonly docker?: string | true
  readonly certs: string
  readonly listen: ListenAddress
  readonly status: ListenAddress
  readonly dnsName: readonly string[]
  readonly ip: readonly string[]
  readonly trustDomain?: string
  readonly clusterId: string
  readonly svidTtl: number
  readonly dryRunPolicies: boolean
}

/** `ztunnel config-server`: serves a folder of Kubernetes YAML as a mesh, and signs its certificates. */
export function configServerCommand(): Command {
  return new Command('config-server')
    .description(
      "serve a folder of Kubernetes YAML over Istio's xDS, and sign certificates: in istiod's place",
    )
    .option('--config <dir>', 'a folder of YAML, watched; several times for several folders', collect, [])
    .addOption(dockerOption("a Docker Engine's labelled containers are workloads too"))
    .requiredOption('--certs <dir>', "the CA, in the layout of Istio's cacerts; made if there is none")
    .addOption(addressOption('--listen <host:port>', 'xDS and CA, TLS', { host: '0.0.0.0', port: 15012 }))
    .addOption(
      addressOption('--status <host:port>', 'health and status, plain HTTP', {
        host: '127.0.0.1',
        port: 15014,
      }),
    )
    .option('--dns-name <name...>', "more DNS names for the server's certificate", [])
    .option('--ip <address...>', "more IP addresses for the server's certificate", collectIps, [])
    .option(
      '--trust-domain <domain>',
      "of the identities that are signed (default: the MeshConfig's, else cluster.local)",
    )
    .option('--cluster-id <id>', 'of the workloads; a ztunnel has the same in CLUSTER_ID', 'Kubernetes')
    .option(
      '--svid-ttl <duration>',
      'lifetime of certificates by default: 90s, 30m, 24h',
      parseSvidTtl,
      DEFAULT_TTL_SECONDS,
    )
    .option('--dry-run-policies', 'send policies marked istio.io/dry-run, to be logged only', false)
    .action((options: Options) => run(options))
}

async function run(options: Options): Promise<void> {
  if (options.config.length === 0 && options.docker === undefined) {
    throw new Error('--config DIR or --docker is needed: where the mesh comes from')
  }
  // Loaded here: every command starts from one program, and pays only for its own role.
  const { createLogger } = await import('../telemetry/index.ts')
  const { startConfigServer } = await import('../config-server/index.ts')
  const logger = createLogger({
    format: process.env['LOG_FORMAT'] === 'json' ? 'json' : 'plain',
    level: process.env['RUST_LOG'] ?? 'info',
  })
  const log = scopedLog(logger)
  const server = await startConfigServer({
    configDir: options.config,
    docker: dockerEndpoint(options.docker),
    certsDir: options.certs,
    listen: options.listen,
    statusListen: options.status,
    dnsNames: options.dnsName,
    ipAddresses: options.ip,
    trustDomain: options.trustDomain,
    clusterId: options.clusterId,
    defaultSvidTtlSeconds: options.svidTtl,
    dryRunPolicies: options.dryRunPolicies,
    log,
  })
  const where = {
    address: formatHostPort(server.address.host, server.address.port),
    status: server.statusAddress && formatHostPort(server.statusAddress.host, server.statusAddress.port),
  }
  if (!server.status().ready) {
    log.error(
      where,
      'config server not ready: it serves once every file in the folder has been read without errors',
    )
  }
  void server.ready.then(() => log.info({ ...where, ...server.status().resources }, 'config server ready'))
  const signal = await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]).then(([name]) =>
    String(name),
  )
  log.info({ signal }, 'config server stopping')
  await server.close()
  logger.flush()
}

function scopedLog(logger: Logger): IdentityLog {
  const scope = logger.scope('config_server')
  const plain = (fields: object) => ({ ...fields })
  return {
    debug: (fields, message) => scope.debug(message, plain(fields)),
    info: (fields, message) => scope.info(message, plain(fields)),
    warn: (fields, message) => scope.warn(message, plain(fields)),
    error: (fields, message) => scope.error(message, plain(fields)),
  }
}

function addressOption(flags: string, description: string, address: ListenAddress): Option {
  return new Option(flags, description)
    .default(address, formatHostPort(address.host, address.port))
    .argParser(parseAddress)
}

function parseAddress(text: string): ListenAddress {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (host === undefined || port > 65_535)
    throw new InvalidArgumentError('it must be HOST:PORT or [IPv6]:PORT')
  return { host, port }
}

function collect(text: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, text]
}

function collectIps(text: string, earlier: readonly string[]): readonly string[] {
  if (isIP(text) === 0) throw new InvalidArgumentError('it must be an IP address')
  return [...earlier, text]
}
