import { chmod, link, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { NewCa } from './ca-create.ts'
import { errnoOf, errorText, IdentityError } from './errors.ts'

/**
 * Puts a new CA's files into a folder so that no reader ever finds half a set
 * that stays half, and two processes never mix theirs. Returns whether it is
 * ours that stands there now. Without a CA it only finishes what another
 * process began.
 *
 * How: the set is written in a private folder, which is then renamed to
 * `.new-ca`. The rename is the decision: it fails while another set is there.
 * From then on any process can finish, by linking each file into place; a link
 * never overwrites. `.new-ca` goes last, so a crash at any point is repaired
 * by the next start.
 */
export async function publishCa(dir: string, ca: NewCa | undefined): Promise<boolean> {
  try {
    const claimed = ca !== undefined && (await claim(dir, ca))
    const linked = await finish(dir)
    return claimed && linked
  } catch (error) {
    const message = `cannot write the CA's files into ${dir}: ${errorText(error)}; the folder must be writable and its file system must allow hard links`
    throw new IdentityError('CA_FILES_INVALID', message, { cause: error })
  }
}

async function claim(dir: string, ca: NewCa): Promise<boolean> {
  await prepareFolder(dir)
  const staging = await mkdtemp(join(dir, STAGING_PREFIX))
  try {
    for (const [name, text] of Object.entries(filesOf(ca))) {
      await writeFile(join(staging, name), text, {
        mode: name.endsWith('-key.pem') ? 0o600 : 0o644,
        flush: true,
      })
    }
    await rename(staging, join(dir, CLAIMED))
    return true
  } catch (error) {
    await rm(staging, { recursive: true, force: true })
    if (CLAIM_TAKEN.has(errnoOf(error) ?? '')) return false
    throw error
  }
}

/** Links what is claimed into place. False when the folder had a CA already, so that nothing of it was used. */
async function finish(dir: string): Promise<boolean> {
  const claimed = join(dir, CLAIMED)
  let linked = false
  for (const name of PUBLISH_ORDER) {
    try {
      await link(join(claimed, name), join(dir, name))
      linked = true
    } catch (error) {
      // EEXIST: another process was first. ENOENT: it has even finished, or nothing was begun.
      if (!['EEXIST', 'ENOENT'].includes(errnoOf(error) ?? '')) throw error
    }
  }
  await discard(dir, claimed)
  return linked
}

/** Out of the way in one step first: the next claim must not meet a folder that is half removed. */
async function discard(dir: string, claimed: string): Promise<void> {
  const trash = await mkdtemp(join(dir, STAGING_PREFIX)).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  })
  if (trash === undefined) return
  try {
    await rename(claimed, trash)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
  await rm(trash, { recursive: true, force: true })
}

function filesOf(ca: NewCa): Record<PublishedName, string> {
  return {
    'root-key.pem': ca.rootKeyPem,
    'root-cert.pem': ca.rootCertPem,
    'cert-chain.pem': ca.caCertPem + ca.rootCertPem,
    'ca-cert.pem': ca.caCertPem,
    'ca-key.pem': ca.caKeyPem,
  }
}

async function prepareFolder(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const others = (await readdir(dir)).filter((name) => name !== 'README.md')
  // A folder with other things in it (say /tmp, by mistake) is not ours to close.
  if (others.length === 0) await chmod(dir, 0o700)
}

/**
 * The layout of Istio's `cacerts`, and the root's key, which exists only because
 * we made the root. That one last: alone in a folder it is a leftover, never
 * the beginning of a set.
 */
const PUBLISH_ORDER = [
  'root-cert.pem',
  'cert-chain.pem',
  'ca-cert.pem',
  'ca-key.pem',
  'root-key.pem',
] as const
type PublishedName = (typeof PUBLISH_ORDER)[number]
const CLAIMED = '.new-ca'
const STAGING_PREFIX = '.ca-'
/** What rename(2) says when the target folder exists and holds files. */
const CLAIM_TAKEN: ReadonlySet<string> = new Set(['ENOTEMPTY', 'EEXIST'])
