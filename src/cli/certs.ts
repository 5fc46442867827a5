import { X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import type { CaMaterial } from '../identity/index.ts'
import { parseSeconds } from './duration.ts'

interface InitOptions {
  readonly dir: string
  readonly trustDomain: string
}

interface TokenOptions extends InitOptions {
  readonly node?: string
  readonly workload?: WorkloadAccount
  readonly ttl: number
}

interface WorkloadAccount {
  readonly namespace: string
  readonly serviceAccount: string
}

/** `ztunnel certs init` and `ztunnel certs token`: the mesh's CA folder, and tokens of its config server. */
export function certsCommand(): Command {
  const certs = new Command('certs').description('make and check the CA of a mesh, and issue tokens')
  certs
    .command('init')
    .description('make the CA in a folder, or check the one that is there')
    .option('--dir <dir>', "the folder, in the layout of Istio's cacerts", DEFAULT_DIR)
    .option('--trust-domain <domain>', 'names the organization in a new CA', DEFAULT_TRUST_DOMAIN)
    .action(async (options: InitOptions) => {
      const { openCa, TokenIssuer } = await loadIdentity()
      const { material, created } = await openCa(options.dir, { trustDomain: options.trustDomain })
      await TokenIssuer.loadOrCreate(tokenKeyFile(options.dir))
      process.stdout.write(describeCa(options.dir, material, created))
    })
  certs
    .command('token')
    .description("print a token for a node's proxy or for one workload")
    .option('--dir <dir>', "the config server's folder of keys", DEFAULT_DIR)
    .option('--trust-domain <domain>', "the mesh's trust domain", DEFAULT_TRUST_DOMAIN)
    .option('--node <name>', 'for the proxy of this node')
    .option('--workload <namespace/account>', 'for a workload with this service account', parseAccount)
    .option('--ttl <duration>', 'how long it is valid: 90s, 30m, 12h, 7d', parseSeconds, DEFAULT_TTL_SECONDS)
    .action(async (options: TokenOptions) => {
      process.stdout.write(`${await issueToken(options)}\n`)
    })
  return certs
}

async function issueToken({ dir, trustDomain, node, workload, ttl }: TokenOptions): Promise<string> {
  if ((node === undefined) === (workload === undefined)) {
    throw new Error('give either --node NAME or --workload NAMESPACE/ACCOUNT')
  }
  const { TokenIssuer } = await loadIdentity()
  // A key made on the spot would sign a token that no config server accepts.
  if (!existsSync(tokenKeyFile(dir))) {
    throw new Error(
      `there is no ${tokenKeyFile(dir)}: --dir must be the folder that the config server has as --certs; it makes the key when it first starts, and so does "ztunnel certs init --dir ${dir}"`,
    )
  }
  const issuer = await TokenIssuer.loadOrCreate(tokenKeyFile(dir), { trustDomain })
  if (workload !== undefined) return issuer.issueWorkloadToken({ ...workload, ttlSeconds: ttl })
  return issuer.issueNodeToken({ node: node ?? '', ttlSeconds: ttl })
}

/** When it is needed: every command starts from one program, and pays only for its own role. */
function loadIdentity(): Promise<typeof import('../identity/index.ts')> {
  return import('../identity/index.ts')
}

function describeCa(dir: string, material: CaMaterial, created: boolean): string {
  const lines = [
    created ? `made a new CA in ${dir}` : `the CA in ${dir} is usable`,
    ...[material.issuerPem, ...material.intermediatesPem.slice(1)].map((pem) => describe('signs', pem)),
    ...material.roots.map((pem) => describe('root', pem)),
    ...material.warnings.map((warning) => `warning: ${warning}`),
  ]
  return `${lines.join('\n')}\n`
}

function describe(role: string, pem: string): string {
  const cert = new X509Certificate(pem)
  const subject = cert.subject.replaceAll('\n', ', ')
  return `  ${role.padEnd(6)} ${subject}, until ${cert.validToDate.toISOString()}, SHA-256 ${cert.fingerprint256}`
}

function tokenKeyFile(dir: string): string {
  return join(dir, 'token-key.pem')
}

function parseAccount(text: string): WorkloadAccount {
  const [namespace, serviceAccount, extra] = text.split('/')
  if (!namespace || !serviceAccount || extra !== undefined) {
    throw new InvalidArgumentError('it must be NAMESPACE/ACCOUNT')
  }
  return { namespace, serviceAccount }
}

const DEFAULT_DIR = 'certs'
const DEFAULT_TRUST_DOMAIN = 'cluster.local'
/** Kubernetes' default for the token that a ztunnel pod mounts. */
const DEFAULT_TTL_SECONDS = 12 * 3_600
