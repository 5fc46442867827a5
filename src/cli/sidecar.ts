import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import type { SidecarMesh } from './sidecar-mesh.ts'

interface BootstrapFlags {
  readonly config?: string
  readonly xdsAddress?: string
  readonly xdsRoot?: string
  readonly token?: string
  readonly certs: string
  readonly sds?: string
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
    .option('--config <dir>', 'the folder of YAML that the config server reads')
    .option(
      '--xds-address <url>',
      'ask a config server instead, https://HOST:PORT; waits until it knows the workload',
    )
    .option('--xds-root <file>', 'the roots to trust that config server by; with --xds-address')
    .option('--token <file>', "the workload's token for that config server; with --xds-address")
    .option(
      '--certs <dir>',
      `the workload's own ${Object.values(CERTIFICATE_FILES).join(', ')}`,
      DEFAULT_CERTS,
    )
    .option('--sds <file>', 'a file to write besides, by which Envoy notices certificates that are renewed')
    .addOption(new Option('--format <format>', 'what to print').choices(['json', 'yaml']).default('json'))
    .option(
      '--trust-domain <domain>',
      "of the identities (default: the MeshConfig's, else cluster.local); with --config",
    )
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
  const { mesh, workload, ports } = await meshFor(id, flags)
  const { sdsResources, workloadBootstrap } = await import('../sidecar/index.ts')
  const folder = resolve(flags.certs)
  const { chain, key, roots } = CERTIFICATE_FILES
  const files = { chain: join(folder, chain), key: join(folder, key), roots: join(folder, roots) }
  const { sds, packetMark } = flags
  const bootstrap = workloadBootstrap(mesh, workload, {
    tls: sds === undefined ? files : { ...files, sds: resolve(sds) },
    ports,
    ...(packetMark === undefined ? {} : { packetMark }),
  })
  if (sds !== undefined) await writeFile(sds, JSON.stringify(sdsResources(files, folder)))
  process.stdout.write(await formatted(bootstrap, flags.format))
}

async function meshFor(
  id: string,
  { config, xdsAddress, xdsRoot, token, trustDomain, clusterId }: BootstrapFlags,
): Promise<SidecarMesh> {
  if ((config === undefined) === (xdsAddress === undefined))
    throw new Error('either --config DIR or --xds-address URL is needed: where the mesh comes from')
  const { meshOfControlPlane, meshOfFolder } = await import('./sidecar-mesh.ts')
  if (config !== undefined) {
    if (xdsRoot !== undefined || token !== undefined)
      throw new Error('--xds-root and --token go with --xds-address')
    return meshOfFolder(id, config, { trustDomain, clusterId })
  }
  if (xdsAddress === undefined || xdsRoot === undefined || token === undefined)
    throw new Error('--xds-address needs --xds-root FILE (root-cert.pem) and --token FILE')
  return meshOfControlPlane(id, { address: xdsAddress, rootCertFile: xdsRoot, tokenFile: token, clusterId })
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
