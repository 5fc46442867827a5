import { chmod, lstat, mkdir, mkdtemp, open, readdir, readlink, rename, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf, errorText, IdentityError } from './errors.ts'
import { formatSpiffeId } from './spiffe-id.ts'
import type { Svid } from './svid.ts'
import { exportPrivateKeyPem } from './x509-svid.ts'

export interface SvidFilesOptions {
  /** Write `keystore.p12` as well, with this password. */
  readonly pkcs12Password?: string
}

/**
 * Writes a certificate for a TLS peer that reads files: `key.pem` (mode 0600),
 * `cert-chain.pem` (leaf, intermediates) and `root-cert.pem`, Istio's names. All
 * change at once: they are links through `..data`, which points to a folder
 * with one generation and is swapped whole, as in a Kubernetes secret. The
 * generation before stays until the next, for readers that are at it. Throws
 * `IdentityError` FILES_UNWRITABLE.
 */
export async function writeSvidFiles(dir: string, svid: Svid, options: SvidFilesOptions = {}): Promise<void> {
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 })
    const files = await contentsOf(svid, options)
    for (const name of [...files.map((file) => file.name), KEY_STORE]) await refuseForeign(dir, name)
    const previous = await readlink(join(dir, DATA)).catch(() => undefined)
    const generation = await writeGeneration(dir, files)
    await swapLink(dir, generation, DATA)
    for (const { name } of files) await ensureLink(dir, name)
    // One of an earlier call's options would lead nowhere.
    if (options.pkcs12Password === undefined) await rm(join(dir, KEY_STORE), { force: true })
    await removeOthers(dir, [generation, previous])
  } catch (error) {
    if (error instanceof IdentityError) throw error
    const message = `cannot write the certificate of ${formatSpiffeId(svid.id)} into ${dir}: ${errorText(error)}`
    throw new IdentityError('FILES_UNWRITABLE', message, { cause: error })
  }
}

interface SvidFile {
  readonly name: string
  readonly content: string | Buffer
  readonly mode: number
}

async function contentsOf(svid: Svid, { pkcs12Password }: SvidFilesOptions): Promise<readonly SvidFile[]> {
  const { certificateChain, roots } = svid
  const privateKeyPem = exportPrivateKeyPem(svid)
  const files: SvidFile[] = [
    { name: 'key.pem', content: privateKeyPem, mode: 0o600 },
    { name: 'cert-chain.pem', content: certificateChain.join(''), mode: 0o644 },
    { name: 'root-cert.pem', content: roots.join(''), mode: 0o644 },
  ]
  if (pkcs12Password !== undefined) {
    // Few have use for it, and its ASN.1 schemas take memory.
    const { createPkcs12 } = await import('./pkcs12.ts')
    const name = formatSpiffeId(svid.id)
    const content = createPkcs12({ name, privateKeyPem, certificateChain, roots }, pkcs12Password)
    files.push({ name: KEY_STORE, content, mode: 0o600 })
  }
  return files
}

/** A CA's folder has files of the same names: they must not be lost to a mistyped folder. */
async function refuseForeign(dir: string, name: string): Promise<void> {
  const path = join(dir, name)
  const found = await lstat(path).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  })
  if (found === undefined || found.isSymbolicLink()) return
  const message = `${path} is there and was not written by this command: give a folder of its own`
  throw new IdentityError('FILES_UNWRITABLE', message)
}

async function writeGeneration(dir: string, files: readonly SvidFile[]): Promise<string> {
  const path = await mkdtemp(join(dir, GENERATION_PREFIX))
  for (const { name, content, mode } of files) {
    const file = await open(join(path, name), 'wx', mode)
    await file.writeFile(content)
    await file.sync()
    await file.close()
  }
  // The chain and the roots are for everybody whom the outer folder lets in.
  await chmod(path, 0o755)
  return path.slice(dir.length).replace(/^\/+/, '')
}

async function ensureLink(dir: string, name: string): Promise<void> {
  const target = join(DATA, name)
  if ((await readlink(join(dir, name)).catch(() => undefined)) !== target) await swapLink(dir, target, name)
}

/** A link cannot be changed, only replaced: by renaming another over it, in one step. */
async function swapLink(dir: string, target: string, name: string): Promise<void> {
  const aside = join(dir, `${LINK_PREFIX}${name}`)
  await rm(aside, { force: true })
  await symlink(target, aside)
  await rename(aside, join(dir, name))
}

async function removeOthers(dir: string, kept: readonly (string | undefined)[]): Promise<void> {
  for (const name of await readdir(dir)) {
    if (name.startsWith(GENERATION_PREFIX) && !kept.includes(name))
      await rm(join(dir, name), { recursive: true, force: true })
  }
}

const KEY_STORE = 'keystore.p12'
const DATA = '..data'
const GENERATION_PREFIX = '..generation-'
const LINK_PREFIX = '..link-'
