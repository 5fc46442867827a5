import { join, resolve } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'

interface BootstrapFlags {
  readonly config: string
  readonly certs: string
  readonly format: 'json' | 'yaml'
  readonly trustDomain?: string
  readonly clusterId: string
  readonly packetMark?: number
}

/** `ztunnel sidecar`: for proxies that stand in a pod themselves. */
export function sidecarCommand(): Command {
  const sidecar = new Command('sidecar').description('configure proxies of others that stand in a pod')
  sidecar
    .command('bootstrap')
    .description('print a static bootstrap for Envoy as the sidecar of a workload')
    .argument('<workload>', 'namespace/pod', parseWorkload)
    .requiredOption('--config <dir>', 'the folder of YAML that the config server reads')
    .option(
      '--certs <dir>',
      `the workload's own ${Object.values(CERTIFICATE_FILES).join(', ')}`,
      DEFAULT_CERTS,
    )
    .addOption(new Option('--format <format>', 'what to print').choices(['json', 'yaml']).default('json'))
    .option('--trust-domain <domain>', "of the identities (default: the MeshConfig's, else cluster.local)")
    .option('--cluster-id <id>', 'of the workloads', 'Kubernetes')
    .option(
      '--packet-mark <mark>',
      'SO_MARK of what Envoy opens, for redirection to let it through; Envoy then needs CAP_NET_ADMIN',
      parseMark,
    )
    .action(async (workload: string, flags: BootstrapFlags) => {
      try {
        await printBootstrap(workload, flags)
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error)
        process.stderr.write(`ztunnel sidecar bootstrap: ${why}\n`)
        process.exitCode = 1
      }
    })
  return sidecar
}

/** As istio-agent names them. */
const CERTIFICATE_FILES = { chain: 'cert-chain.pem', key: 'key.pem', roots: 'root-cert.pem' } as const
const DEFAULT_CERTS = '/etc/certs'
/** Redirection looks at these bits only. */
const MAX_MARK = 0xfff

async function printBootstrap(id: string, flags: BootstrapFlags): Promise<void> {
  const { validateFolder } = await import('../xds/kubernetes/index.ts')
  const { MeshStore } = await import('../mesh/index.ts')
  const { SidecarError, workloadBootstrap } = await import('../sidecar/index.ts')
  const { trustDomain, clusterId, packetMark } = flags
  const { snapshot, mesh, problems } = await validateFolder(flags.config, {
    trustDomain,
    clusterId,
    dryRunPolicies: false,
  })
  const errors = problems.filter(({ severity }) => severity === 'error')
  // A policy in a file that cannot be read would be missing from the bootstrap.
  if (errors.length > 0) {
    const [first] = errors
    const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : ''
    throw new Error(
      `${flags.config} has errors, the first one in ${first?.file}: ${first?.message}${more}; see ztunnel config validate`,
    )
  }
  const store = new MeshStore()
  for (const service of mesh.services) store.upsertService(service)
  for (const policy of mesh.policies) store.upsertPolicy(policy)
  for (const workload of mesh.workloads) store.upsertWorkload(workload)
  const [namespace, name] = id.split('/')
  const workload = mesh.workloads.find((each) => each.namespace === namespace && each.name === name)
  if (workload === undefined) {
    throw new SidecarError(
      'unknown-workload',
      `no workload ${id} in ${flags.config}: see ztunnel config show`,
    )
  }
  const ports = (snapshot.objects.pods.get(id)?.spec.ports ?? [])
    .filter(({ protocol }) => protocol === 'TCP')
    .map(({ containerPort }) => containerPort)
  const { chain, key, roots } = CERTIFICATE_FILES
  const folder = resolve(flags.certs)
  const bootstrap = workloadBootstrap(store, workload, {
    tls: { chain: join(folder, chain), key: join(folder, key), roots: join(folder, roots) },
    ports,
    ...(packetMark === undefined ? {} : { packetMark }),
  })
  process.stdout.write(await formatted(bootstrap, flags.format))
}

async function formatted(value: unknown, format: BootstrapFlags['format']): Promise<string> {
  if (format === 'json') return `${JSON.stringify(value, undefined, 2)}\n`
  const { stringify } = await import('yaml')
  return stringify(value, { aliasDuplicateObjects: false })
}

function parseWorkload(text: string): string {
  if (/^[^/]+\/[^/]+$/.test(text)) return text
  throw new InvalidArgumentError('it must be NAMESPACE/POD')
}

function parseMark(text: string): number {
  const mark = Number(text)
  if (Number.isInteger(mark) && mark > 0 && mark <= MAX_MARK) return mark
  throw new InvalidArgumentError(`it must be a number from 1 to ${MAX_MARK}`)
}
