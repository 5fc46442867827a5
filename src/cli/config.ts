import { Command, Option } from 'commander'
import type { ResourceChange, ResourceKind } from '../xds/index.ts'
import type { FolderReport } from '../xds/kubernetes/index.ts'
import { changesText, problemsText, resourcesYaml } from './config-text.ts'

interface Flags {
  readonly json?: boolean
  readonly trustDomain?: string
  readonly clusterId: string
  readonly dryRunPolicies: boolean
}

interface ShowFlags extends Flags {
  readonly type?: ResourceKind
}

interface DiffFlags extends Flags {
  readonly with: readonly string[]
}

/** `ztunnel config`: what a config server would make of a folder, without one. */
export function configCommand(): Command {
  const config = new Command('config').description('check a folder of YAML, and see what it makes a mesh of')
  subcommand(config, 'validate', 'say what is wrong with a folder; the exit status is 1 if there are errors')
    .argument('<dir...>', 'the folder of YAML, or several that are read as one')
    .action((dirs: readonly string[], flags: Flags) => explained('validate', () => validate(dirs, flags)))
  subcommand(config, 'show', 'print the resources that proxies would get')
    .argument('<dir...>', 'the folder of YAML, or several that are read as one')
    .addOption(
      new Option('--type <type>', 'of one type only').choices([
        'workload',
        'service',
        'policy',
        'waypoint-policy',
        'route',
      ]),
    )
    .action((dirs: readonly string[], flags: ShowFlags) => explained('show', () => show(dirs, flags)))
  subcommand(config, 'diff', 'print what a change would push to proxies')
    .argument('<old>', 'the folder as it is')
    .argument('<new>', 'the folder as it will be')
    .option(
      '--with <dir>',
      'a folder that is read together with both; several times for several',
      collect,
      [],
    )
    .action((old: string, next: string, flags: DiffFlags) => explained('diff', () => diff(old, next, flags)))
  return config
}

/** With the settings of the config server that decide what comes out. */
function subcommand(parent: Command, name: string, description: string): Command {
  return parent
    .command(name)
    .description(description)
    .option('--json', 'print JSON')
    .option('--trust-domain <domain>', "of the identities (default: the MeshConfig's, else cluster.local)")
    .option('--cluster-id <id>', 'of the workloads', 'Kubernetes')
    .option('--dry-run-policies', 'as if policies marked istio.io/dry-run were sent', false)
}

async function validate(dirs: readonly string[], flags: Flags): Promise<void> {
  const report = await load(dirs, flags)
  const { problems, snapshot, referencesChecked } = report
  const errors = errorsOf(report).length
  const files = snapshot.files.length
  const objects = snapshot.files.reduce((sum, file) => sum + file.objects, 0)
  const summary = { files, objects, errors, warnings: problems.length - errors, referencesChecked }
  print(flags.json === true ? json({ ...summary, problems }) : problemsText(problems, summary))
  if (errors > 0) process.exitCode = 1
}

async function show(dirs: readonly string[], flags: ShowFlags): Promise<void> {
  const { readableResources } = await import('../xds/index.ts')
  const report = await loadServable(dirs, flags)
  const resources = readableResources(report.mesh).filter(
    ({ kind }) => flags.type === undefined || kind === flags.type,
  )
  print(flags.json === true ? json(resources) : await resourcesYaml(resources))
}

async function diff(old: string, next: string, flags: DiffFlags): Promise<void> {
  const { diffResources, readableResources } = await import('../xds/index.ts')
  const before = readableResources((await loadServable([old, ...flags.with], flags)).mesh)
  const after = readableResources((await loadServable([next, ...flags.with], flags)).mesh)
  const changes: readonly ResourceChange[] = diffResources(before, after)
  print(flags.json === true ? json(changes) : changesText(changes, after.length))
}

async function load(dirs: readonly string[], flags: Flags): Promise<FolderReport> {
  const { validateFolder } = await import('../xds/kubernetes/index.ts')
  const { trustDomain, clusterId, dryRunPolicies } = flags
  return validateFolder(dirs, { trustDomain, clusterId, dryRunPolicies })
}

/** Errors go to stderr. Of a folder that no config server would begin to serve, nothing can be shown. */
async function loadServable(dirs: readonly string[], flags: Flags): Promise<FolderReport> {
  const report = await load(dirs, flags)
  const errors = errorsOf(report)
  if (errors.length === 0) return report
  process.stderr.write(problemsText(errors))
  process.exitCode = 1
  if (!report.snapshot.complete) {
    throw new Error(
      `a config server would not begin to serve ${dirs.join(', ')}: mend the files with errors first`,
    )
  }
  return report
}

function errorsOf({ problems }: FolderReport): FolderReport['problems'] {
  return problems.filter(({ severity }) => severity === 'error')
}

function collect(text: string, earlier: readonly string[]): readonly string[] {
  return [...earlier, text]
}

/** A folder that is not there gets a sentence, no stack. */
async function explained(name: string, run: () => Promise<void>): Promise<void> {
  try {
    await run()
  } catch (error) {
    process.stderr.write(
      `ztunnel config ${name}: ${error instanceof Error ? error.message : String(error)}\n`,
    )
    process.exitCode = 1
  }
}

function print(text: string): void {
  process.stdout.write(text)
}

function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`
}
