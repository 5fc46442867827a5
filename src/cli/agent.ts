import { Command, Option } from 'commander'

interface AgentOptions {
  readonly node: string
  readonly config: string
  readonly zdsSocket: string
  readonly netnsDir: string
  readonly dnsCapture: boolean
  readonly cleanup: boolean
  readonly logFormat: 'plain' | 'json'
  readonly logLevel: string
}

/** `ztunnel agent`: redirects the node's captured pods and hands them to the node proxy. */
export function agentCommand(): Command {
  return new Command('agent')
    .description("put redirection into the node's pods and hand them to the node proxy (istio-cni's part)")
    .addOption(
      new Option('--node <name>', 'pods with this spec.nodeName').env('NODE_NAME').makeOptionMandatory(),
    )
    .requiredOption('--config <dir>', 'folder of Kubernetes YAML, watched')
    .addOption(
      new Option('--zds-socket <path>', 'Unix socket that the proxy connects to')
        .env('INPOD_UDS')
        .default('/var/run/ztunnel/ztunnel.sock'),
    )
    .option('--netns-dir <dir>', 'where the namespaces <namespace>.<pod> are', '/run/netns')
    .option('--dns-capture', 'capture DNS too, where ambient.istio.io/dns-capture does not say', false)
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
  const { FolderPods, NodeAgent } = await import('../agent/index.ts')
  const log = createLogger({ format: options.logFormat, level: options.logLevel })
  const logger = log.scope('agent')
  const { promise: terminated, resolve: terminate } = Promise.withResolvers<string>()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => terminate(signal))

  const source = await FolderPods.watch({
    directory: options.config,
    node: options.node,
    netnsDirectory: options.netnsDir,
    dnsCapture: options.dnsCapture,
    logger,
  })
  try {
    const agent = await NodeAgent.start({ source, zdsSocket: options.zdsSocket, logger })
    logger.info('agent ready', { node: options.node, pods: agent.status().length, zds: options.zdsSocket })
    const signal = await terminated
    logger.info('agent stops', { signal, cleanup: options.cleanup })
    await agent.close({ cleanup: options.cleanup })
  } finally {
    await source.close()
    log.flush()
  }
}
