import { Command, Option } from 'commander'
import type { AgentLogger, PodSource } from '../agent/index.ts'
import { dockerEndpoint, dockerOption } from './docker.ts'

interface AgentOptions {
  readonly node?: string
  readonly config?: string
  readonly docker?: string | true
  readonly zdsSocket: string
  readonly netnsDir: string
  readonly dnsCapture?: boolean
  readonly cleanup: boolean
  readonly logFormat: 'plain' | 'json'
  readonly logLevel: string
}

/** `ztunnel agent`: redirects the node's captured pods and hands them to the node proxy. */
export function agentCommand(): Command {
  return new Command('agent')
    .description("put redirection into the node's pods and hand them to the node proxy (istio-cni's part)")
    .addOption(
      new Option(
        '--node <name>',
        "pods with this spec.nodeName; containers with this ztunnel.node, by default the Docker host's name",
      ).env('NODE_NAME'),
    )
    .option('--config <dir>', 'folder of Kubernetes YAML, watched: its pods are captured')
    .addOption(
      dockerOption('in place of --config: the labelled containers of a Docker Engine').conflicts('config'),
    )
    .addOption(
      new Option('--zds-socket <path>', 'Unix socket that the proxy connects to')
        .env('INPOD_UDS')
        .default('/var/run/ztunnel/ztunnel.sock'),
    )
    .option('--netns-dir <dir>', 'where the namespaces <namespace>.<pod> are', '/run/netns')
    .option(
      '--dns-capture',
      'capture DNS too, where ambient.istio.io/dns-capture does not say (default: not with --config, but with --docker)',
    )
    .option('--no-dns-capture', 'leave DNS alone')
    .option('--cleanup', 'at the end, take the redirection out of the pods again', false)
    .addOption(
      new Option('--log-format <format>').env('LOG_FORMAT').choices(['plain', 'json']).default('plain'),
    )
    .addOption(new Option('--log-level <filter>').env('RUST_LOG').default('info'))
    .action(runAgent)
}

/** Runs until SIGTERM or SIGINT; a second one ends the process at once, in the system's way. */
async function runAgent(options: AgentOptions): Promise<void> {
  // Loaded here: every command starts from one program, and pays only for its own role.
  const { createLogger } = await import('../telemetry/index.ts')
  const { NodeAgent, requireAgentPrivileges } = await import('../agent/index.ts')
  requireAgentPrivileges()
  const log = createLogger({ format: options.logFormat, level: options.logLevel })
  const logger = log.scope('agent')
  const { promise: terminated, resolve: terminate } = Promise.withResolvers<string>()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => terminate(signal))

  const source = await openSource(options, logger)
  try {
    const agent = await NodeAgent.start({ source, zdsSocket: options.zdsSocket, logger })
    logger.info('agent ready', { node: source.node, pods: agent.status().length, zds: options.zdsSocket })
    const signal = await terminated
    logger.info('agent stops', { signal, cleanup: options.cleanup })
    await agent.close({ cleanup: options.cleanup })
  } finally {
    await source.close()
    log.flush()
  }
}

/** A source of pods, whose they are, and how to let go of it. */
type OpenSource = PodSource & { readonly node: string; close(): Promise<void> }

async function openSource(options: AgentOptions, logger: AgentLogger): Promise<OpenSource> {
  const { DockerPods, FolderPods } = await import('../agent/index.ts')
  const { node, config: directory, netnsDir: netnsDirectory, dnsCapture } = options
  const endpoint = dockerEndpoint(options.docker)
  if (endpoint !== undefined) {
    const { DockerClient } = await import('../docker/index.ts')
    const client = new DockerClient(endpoint)
    try {
      return await DockerPods.watch({ client, node, dnsCapture: dnsCapture ?? true, logger })
    } catch (error) {
      await client.close()
      throw error
    }
  }
  if (directory === undefined) throw new Error('--config DIR or --docker is needed: where the pods are')
  if (node === undefined) throw new Error('--node NAME (or NODE_NAME) is needed: whose pods to capture')
  return FolderPods.watch({ directory, node, netnsDirectory, dnsCapture: dnsCapture ?? false, logger })
}
