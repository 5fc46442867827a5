import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import process from 'node:process'
import { Command, InvalidArgumentError } from 'commander'
import type { SpiffeId, Svid } from '../identity/index.ts'
// Not from its index, which loads the certificate library: every command starts from one program.
import { formatSpiffeId, parseSpiffeId } from '../identity/spiffe-id.ts'
import { DEFAULT_TTL_SECONDS } from '../identity/svid-ttl.ts'
import { parseSvidTtl } from './duration.ts'

interface Options {
  readonly dir: string
  readonly certs: string
  readonly ttl: number
  readonly p12: boolean
  readonly p12PasswordFile?: string
  readonly watch: boolean
  readonly caAddress?: string
  readonly caRoot?: string
  readonly token?: string
}

type Identity = typeof import('../identity/index.ts')
type Fetch = (id: SpiffeId, signal?: AbortSignal) => Promise<Svid>

/** `ztunnel certs issue`: a certificate of the mesh in files, for any TLS peer. */
export function issueCommand(): Command {
  return new Command('issue')
    .description('write key, certificate chain and roots of a mesh identity, for any TLS peer')
    .argument('<identity>', 'spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT', parseIdentity)
    .requiredOption('--dir <dir>', 'where to write key.pem, cert-chain.pem and root-cert.pem')
    .option('--certs <dir>', "sign with this CA, in the layout of Istio's cacerts", 'certs')
    .option('--ca-address <url>', 'ask the CA of a config server instead, https://HOST:PORT')
    .option('--ca-root <file>', 'the roots to trust that config server by; with --ca-address')
    .option('--token <file>', 'the token for that config server, read each time; with --ca-address')
    .option('--ttl <duration>', 'lifetime: 90s, 30m, 24h', parseSvidTtl, DEFAULT_TTL_SECONDS)
    .option('--p12', 'write keystore.p12 (PKCS#12) too', false)
    .option(
      '--p12-password-file <file>',
      `its password, the file's first line (default: ${DEFAULT_PASSWORD})`,
    )
    .option('--watch', 'stay, and replace the files at half of the life that is left', false)
    .action(run)
}

async function run(id: SpiffeId, options: Options): Promise<void> {
  const password = passwordOf(options)
  // When it is needed: every command starts from one program, and pays only for its own role.
  const identity = await import('../identity/index.ts')
  const { fetch, close } = certificateSource(identity, options)
  const issue: Fetch = async (wanted, signal) => {
    const svid = await fetch(wanted, signal)
    await identity.writeSvidFiles(
      options.dir,
      svid,
      password === undefined ? {} : { pkcs12Password: password },
    )
    process.stdout.write(
      `${formatSpiffeId(wanted)} in ${options.dir}, until ${svid.notAfter.toISOString()}\n`,
    )
    return svid
  }
  try {
    if (options.watch) await keepFresh(identity, id, issue)
    else await issue(id)
  } finally {
    close()
  }
}

/** Until SIGTERM or SIGINT; ends at once only when there is no first certificate. */
async function keepFresh(identity: Identity, id: SpiffeId, issue: Fetch): Promise<void> {
  const terminated = Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')])
  const warn = (fields: { readonly err?: unknown; readonly retryInMs?: number }): void => {
    const reason = fields.err instanceof Error ? fields.err.message : String(fields.err)
    const again = fields.retryInMs === undefined ? '' : `; trying again in ${fields.retryInMs} ms`
    process.stderr.write(`not renewed: ${reason}${again}\n`)
  }
  const svids = new identity.SvidManager({ fetch: issue, log: { ...identity.silentLog, warn } })
  // Neither a signal's listener nor the manager's timers keep the process.
  const alive = setInterval(() => {}, LONG_MS)
  try {
    const first = await Promise.race([svids.get(id), terminated.then(() => undefined)])
    if (first !== undefined) await terminated
  } finally {
    clearInterval(alive)
    svids.close()
  }
}

function certificateSource(identity: Identity, options: Options): { fetch: Fetch; close: () => void } {
  const { caAddress, caRoot, token, certs, ttl } = options
  if (caAddress === undefined) {
    if (caRoot !== undefined || token !== undefined)
      throw new Error('--ca-root and --token go with --ca-address')
    // Read again each time: the CA may have been rotated.
    const sign: Fetch = async (id) =>
      new identity.CertificateAuthority(await identity.loadCa(certs)).issueSvid(id, ttl)
    return { fetch: sign, close: () => {} }
  }
  if (caRoot === undefined || token === undefined)
    throw new Error('--ca-address needs --ca-root FILE (root-cert.pem) and --token FILE')
  const client = new identity.CaClient({
    address: caAddress,
    rootCertFile: caRoot,
    token: identity.tokenFile(token),
    impersonate: true,
    ttlSeconds: ttl,
  })
  return { fetch: (id, signal) => client.fetch(id, signal), close: () => client.close() }
}

function passwordOf({ p12, p12PasswordFile }: Options): string | undefined {
  if (!p12) {
    if (p12PasswordFile !== undefined) throw new Error('--p12-password-file goes with --p12')
    return undefined
  }
  if (p12PasswordFile === undefined) return DEFAULT_PASSWORD
  const [password = ''] = readFileSync(p12PasswordFile, 'utf8').split(/\r?\n/)
  if (/^[\x20-\x7e]+$/.test(password)) return password
  throw new Error(
    `the first line of ${p12PasswordFile} must be a password of ASCII characters: Java reads no others`,
  )
}

function parseIdentity(text: string): SpiffeId {
  const id = parseSpiffeId(text)
  if (id !== undefined) return id
  throw new InvalidArgumentError('it must be spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT')
}

/** Java's customary one. It hides nothing, for key.pem lies beside. */
const DEFAULT_PASSWORD = 'changeit'
/** Longer than any timer's purpose here, and within 31 bits. */
const LONG_MS = 2 ** 30
