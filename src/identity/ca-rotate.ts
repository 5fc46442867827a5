import { createPrivateKey, X509Certificate } from 'node:crypto'
import { open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createIssuer } from './ca-create.ts'
import { loadCa, openCa } from './ca-files.ts'
import type { CaMaterial } from './ca-material.ts'
import { errnoOf, errorText, IdentityError } from './errors.ts'
import { importSigningKey } from './keys.ts'
import { pemCertificates } from './pem.ts'

/**
 * Puts a new intermediate in the place of the one that signs, below the same
 * root. Needs `root-key.pem`. Run again, it repairs a set that a crash left
 * mixed. Throws `IdentityError` CA_FILES_INVALID.
 */
export async function rotateIntermediate(dir: string): Promise<CaMaterial> {
  const rootKeyPem = await readText(join(dir, ROOT_KEY), ROOT_KEY_MISSING)
  const roots = pemCertificates(await readText(join(dir, ROOT_CERT), 'make the CA first'))
  const rootCertPem = roots.find((pem) => isKeyOf(pem, rootKeyPem))
  if (rootCertPem === undefined) {
    throw invalid(`${join(dir, ROOT_KEY)} is the key of no certificate in ${join(dir, ROOT_CERT)}`)
  }
  const { caCertPem, caKeyPem } = await createIssuer(rootCertPem, rootKeyPem)
  await replaceFiles(dir, {
    'ca-key.pem': caKeyPem,
    'ca-cert.pem': caCertPem,
    'cert-chain.pem': caCertPem + rootCertPem,
  })
  return loadCa(dir)
}

/**
 * First of three steps to a new root: makes root and intermediate aside, in
 * `next/`, and adds the root to those that peers shall trust. The old CA goes
 * on signing. A CA of one's own can be put into `next/` before.
 */
export async function addRoot(dir: string): Promise<CaMaterial> {
  const current = await loadCa(dir)
  const { material } = await openCa(join(dir, NEXT), organizationOf(current))
  const missing = material.roots.filter((root) => !current.roots.includes(root))
  if (missing.length > 0) await replaceFiles(dir, { [ROOT_CERT]: [...current.roots, ...missing].join('') })
  return loadCa(dir)
}

/** Second step, when every peer trusts the new root: the CA in `next/` signs from now on. */
export async function useRoot(dir: string): Promise<CaMaterial> {
  const next = join(dir, NEXT)
  const names: readonly string[] = await readdir(next).catch(() => [])
  if (names.length === 0) throw invalid(`there is no ${next}: "ztunnel certs rotate add-root" makes it`)
  const material = await loadCa(next)
  const trusted = pemCertificates(await readText(join(dir, ROOT_CERT), 'add the root first')).map(canonical)
  if (!material.roots.every((root) => trusted.includes(root))) {
    const message = `the root of ${next} is not in ${join(dir, ROOT_CERT)}, so no peer trusts it yet: run "ztunnel certs rotate add-root --dir ${dir}" first`
    throw invalid(message)
  }
  const files: Record<string, string> = {}
  for (const name of SIGNING_FILES) {
    if (names.includes(name)) files[name] = await readText(join(next, name), '')
  }
  await replaceFiles(dir, files)
  // The old root's key must not stay as if it were the new one's; nothing needs it any more.
  if (!names.includes(ROOT_KEY)) await rm(join(dir, ROOT_KEY), { force: true })
  const inForce = await loadCa(dir)
  // Last: until here the step can be run again.
  await rm(next, { recursive: true })
  return inForce
}

/** Third step, when every peer's certificate leads to the new root: drops the roots that the CA does not sign under. */
export async function dropRoots(dir: string): Promise<CaMaterial> {
  const waiting: readonly string[] = await readdir(join(dir, NEXT)).catch(() => [])
  if (waiting.length > 0) {
    throw invalid(
      `the CA in ${join(dir, NEXT)} does not sign yet: run "ztunnel certs rotate use-root --dir ${dir}" first`,
    )
  }
  const { roots, intermediatesPem, issuerPem } = await loadCa(dir)
  const last = new X509Certificate(intermediatesPem.at(-1) ?? issuerPem)
  const kept = roots.filter((pem) => {
    const root = new X509Certificate(pem)
    return root.raw.equals(last.raw) || (last.checkIssued(root) && last.verify(root.publicKey))
  })
  if (kept.length < roots.length) await replaceFiles(dir, { [ROOT_CERT]: kept.join('') })
  return loadCa(dir)
}

/** Each written beside its place first, then all renamed: the set is mixed for an instant only, and no file is ever half. */
async function replaceFiles(dir: string, files: Readonly<Record<string, string>>): Promise<void> {
  const aside = (name: string): string => join(dir, `.${name}.new`)
  try {
    for (const [name, text] of Object.entries(files)) {
      await rm(aside(name), { force: true })
      const file = await open(aside(name), 'wx', name.endsWith('-key.pem') ? 0o600 : 0o644)
      await file.writeFile(text)
      await file.sync()
      await file.close()
    }
    for (const name of Object.keys(files)) await rename(aside(name), join(dir, name))
  } catch (error) {
    throw invalid(
      `cannot replace the CA's files in ${dir}: ${errorText(error)}; run the command again`,
      error,
    )
  }
}

async function readText(path: string, advice: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const problem =
      errnoOf(error) === 'ENOENT' ? `there is no ${path}` : `cannot read ${path}: ${errorText(error)}`
    throw invalid(advice === '' ? problem : `${problem}: ${advice}`, error)
  }
}

function isKeyOf(certPem: string, keyPem: string): boolean {
  try {
    importSigningKey(keyPem)
    return new X509Certificate(certPem).checkPrivateKey(createPrivateKey(keyPem))
  } catch {
    return false
  }
}

function organizationOf({ roots }: CaMaterial): { trustDomain?: string } {
  const organization = /^O=(.*)$/m.exec(new X509Certificate(roots[0] ?? '').subject)?.[1]
  return organization === undefined ? {} : { trustDomain: organization }
}

/** As `CaMaterial` holds them: the same certificate may be wrapped differently in a file. */
function canonical(pem: string): string {
  return new X509Certificate(pem).toString()
}

function invalid(message: string, cause?: unknown): IdentityError {
  return new IdentityError('CA_FILES_INVALID', message, { cause })
}

/** Where the CA waits that shall sign next; same layout. */
const NEXT = 'next'
const ROOT_CERT = 'root-cert.pem'
const ROOT_KEY = 'root-key.pem'
const SIGNING_FILES = ['ca-key.pem', 'ca-cert.pem', 'cert-chain.pem', ROOT_KEY] as const
const ROOT_KEY_MISSING =
  'a new intermediate is signed with it; put it there for as long, or, with a CA of your own, replace ca-key.pem, ca-cert.pem and cert-chain.pem yourself'
