import { execFile } from 'node:child_process'
import { isIPv6 } from 'node:net'
import { promisify } from 'node:util'
import { Command, InvalidArgumentError } from 'commander'
import type { Application, Check, Outcome, Target } from '../conformance/index.ts'
import { parseSeconds } from './duration.ts'

interface HostPort {
  readonly host: string
  readonly port: number
}

interface ConformanceFlags {
  readonly target?: HostPort
  readonly certs: string
  readonly ca?: string
  readonly identity: string
  readonly serverIdentity?: string
  readonly authority?: string
  readonly echo?: HostPort
  readonly deniedAuthority?: string
  readonly deadAuthority?: string
  readonly proxyAuthority?: string
  readonly drainCommand?: string
  readonly patience: number
  readonly only?: readonly string[]
  readonly list?: boolean
  readonly json?: boolean
  readonly markdown?: boolean
}

/** `ztunnel conformance`: black-box checks of any HBONE server. Exit code 1 when a `must` fails. */
export function conformanceCommand(): Command {
  return new Command('conformance')
    .description(
      'check any HBONE server (15008) against the RFCs and Istio; it is sent illegal frames and floods, so use a target of your own',
    )
    .option('--target <host:port>', 'what to check', parseHostPort)
    .option(
      '--certs <dir>',
      'key.pem, cert-chain.pem and root-cert.pem of a client, or a CA that signs for one',
      'certs',
    )
    .option(
      '--ca <dir>',
      'the CA of the mesh, for certificates that must be refused; default: --certs, if it is one',
    )
    .option('--identity <uri>', 'the client, when a CA signs for it', DEFAULT_IDENTITY)
    .option('--server-identity <uri>', 'the SPIFFE id that the target must prove')
    .option('--authority <host:port>', 'an application behind the target that echoes', parseAuthority)
    .option(
      '--echo <host:port>',
      'serve that application here; needed where a check holds both ends',
      parseHostPort,
    )
    .option('--denied-authority <host:port>', 'one that policy forbids this client', parseAuthority)
    .option('--dead-authority <host:port>', 'one where nobody listens', parseAuthority)
    .option('--proxy-authority <host:port>', 'one that reaches --echo with a PROXY header', parseAuthority)
    .option('--drain-command <command>', 'makes the target drain; run by sh, after everything else')
    .option(
      '--patience <duration>',
      "how long to wait for a timer of the target's",
      parseSeconds,
      DEFAULT_PATIENCE_S,
    )
    .option('--only <pattern>', 'a check or a topic, `*` for anything; may be repeated', collect)
    .option('--list', 'print the checks and run none')
    .option('--json', 'print the outcome as JSON')
    .option('--markdown', 'print a score card in Markdown')
    .action(async (flags: ConformanceFlags) => {
      try {
        await conformance(flags)
      } catch (error) {
        process.stderr.write(
          `ztunnel conformance: ${error instanceof Error ? error.message : String(error)}\n`,
        )
        process.exitCode = 2
      }
    })
}

async function conformance(flags: ConformanceFlags): Promise<void> {
  const { ALL_CHECKS, isConformant, listText, runChecks } = await load()
  const checks = chosen(ALL_CHECKS, flags.only ?? [])
  if (flags.list === true) {
    process.stdout.write(listText(checks))
    return
  }
  if (flags.target === undefined)
    throw new Error('--target HOST:PORT is missing; an HBONE server listens on 15008')
  const application = await startEcho(flags.echo)
  try {
    const target = await targetOf(flags, flags.target, application)
    // To the terminal what is going on, to the output the result.
    const onOutcome = (outcome: Outcome): void => {
      if (process.stderr.isTTY) process.stderr.write(`${outcome.check.name}: ${outcome.finding.result}\n`)
    }
    const outcomes = await runChecks(checks, target, { onOutcome })
    process.stdout.write(await report(flags, flags.target, outcomes))
    if (!isConformant(outcomes)) process.exitCode = 1
  } finally {
    application?.close()
  }
}

async function targetOf(
  flags: ConformanceFlags,
  { host, port }: HostPort,
  application: Application | undefined,
): Promise<Target> {
  const { assertReachable, loadIdentity, spiffeIdOf } = await load()
  const { certs, ca, drainCommand } = flags
  const target: Target = {
    host,
    port,
    identity: await loadIdentity({ certs, ca, id: spiffeIdOf(flags.identity) }),
    authority: flags.authority,
    application,
    deniedAuthority: flags.deniedAuthority,
    deadAuthority: flags.deadAuthority,
    proxyAuthority: flags.proxyAuthority,
    serverIdentity: flags.serverIdentity,
    patience: flags.patience,
    drain: drainCommand === undefined ? undefined : () => shell(drainCommand),
  }
  await assertReachable(target)
  return target
}

async function startEcho(listen: HostPort | undefined): Promise<Application | undefined> {
  if (listen === undefined) return undefined
  const { Application } = await load()
  const application = new Application()
  await application.listen(listen.host, listen.port)
  return application
}

async function report(
  flags: ConformanceFlags,
  target: HostPort,
  outcomes: readonly Outcome[],
): Promise<string> {
  const { reportJson, scoreCard, tableText } = await load()
  const name = formatHostPort(target)
  if (flags.json === true) return reportJson(name, outcomes)
  return flags.markdown === true ? scoreCard(name, outcomes) : tableText(outcomes)
}

/** A pattern without a topic's slash stands for the whole topic. */
function chosen(checks: readonly Check[], patterns: readonly string[]): readonly Check[] {
  if (patterns.length === 0) return checks
  const regexes = patterns.map((pattern) => {
    const full = pattern.includes('/') ? pattern : `${pattern}/*`
    const escaped = full.replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`)
    return new RegExp(`^${escaped.replaceAll('*', '.*')}$`)
  })
  const found = checks.filter(({ name }) => regexes.some((regex) => regex.test(name)))
  if (found.length === 0) throw new Error(`no check is called ${patterns.join(' or ')}; --list shows them`)
  return found
}

async function shell(command: string): Promise<void> {
  await promisify(execFile)('sh', ['-c', command])
}

/** When it is needed: the other commands do without it. */
function load(): Promise<typeof import('../conformance/index.ts')> {
  return import('../conformance/index.ts')
}

function parseHostPort(text: string): HostPort {
  const url = URL.parse(`tcp://${text}`)
  const host = url?.hostname.replaceAll(/[[\]]/g, '') ?? ''
  if (url === null || host === '' || url.port === '' || url.pathname !== '') {
    throw new InvalidArgumentError('it must be HOST:PORT or [IPV6]:PORT')
  }
  return { host, port: Number(url.port) }
}

/** Sent as it is written. */
function parseAuthority(text: string): string {
  parseHostPort(text)
  return text
}

function formatHostPort({ host, port }: HostPort): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value]
}

const DEFAULT_IDENTITY = 'spiffe://cluster.local/ns/conformance/sa/client'
/** Enough for handshakes that are given ten seconds, and for a PING every ten. */
const DEFAULT_PATIENCE_S = 15
