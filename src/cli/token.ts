import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { parseSeconds } from './duration.ts'

interface TokenOptions {
  readonly certs: string
  readonly trustDomain: string
  readonly node?: string
  readonly workload?: WorkloadAccount
  readonly ttl: number
}

interface WorkloadAccount {
  readonly namespace: string
  readonly serviceAccount: string
}

/** Kubernetes' default for the token that a ztunnel pod mounts. */
const DEFAULT_TTL_SECONDS = 12 * 3_600

/** `ztunnel token create`: a bearer token for a config server. */
export function tokenCommand(): Command {
  const token = new Command('token').description('tokens of the config server')
  token
    .command('create')
    .description("print a token for a node's proxy, or for one workload")
    .option('--certs <dir>', "the config server's --certs", 'certs')
    .option('--trust-domain <domain>', "the mesh's trust domain", 'cluster.local')
    .option('--node <name>', 'for the proxy of this node; with --workload, where the workload runs')
    .option('--workload <namespace/account>', 'for a workload with this service account', parseAccount)
    .option('--ttl <duration>', 'how long it is valid: 90s, 30m, 12h, 7d', parseSeconds, DEFAULT_TTL_SECONDS)
    .action(async (options: TokenOptions) => {
      process.stdout.write(`${await createToken(options)}\n`)
    })
  return token
}

async function createToken({ certs, trustDomain, node, workload, ttl }: TokenOptions): Promise<string> {
  if (node === undefined && workload === undefined) {
    throw new Error('give --node NAME for the proxy of a node, or --workload NAMESPACE/ACCOUNT')
  }
  const keyFile = join(certs, 'token-key.pem')
  // A key made on the spot would sign a token that no config server accepts.
  if (!existsSync(keyFile)) {
    throw new Error(
      `there is no ${keyFile}: --certs must be the folder that the config server has as --certs; it makes the key when it first starts, and so does "ztunnel certs init --dir ${certs}"`,
    )
  }
  // When it is needed: every command starts from one program, and pays only for its own role.
  const { TokenIssuer } = await import('../identity/index.ts')
  const issuer = await TokenIssuer.loadOrCreate(keyFile, { trustDomain })
  if (workload === undefined) return issuer.issueNodeToken({ node: node ?? '', ttlSeconds: ttl })
  return issuer.issueWorkloadToken({ ...workload, ...(node === undefined ? {} : { node }), ttlSeconds: ttl })
}

function parseAccount(text: string): WorkloadAccount {
  const [namespace, serviceAccount, extra] = text.split('/')
  if (!namespace || !serviceAccount || extra !== undefined) {
    throw new InvalidArgumentError('it must be NAMESPACE/ACCOUNT')
  }
  return { namespace, serviceAccount }
}
