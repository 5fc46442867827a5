import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createCa } from './ca-create.ts'
import { CA_FILES, type CaFileName, type CaFileTexts, checkedCa } from './ca-files-check.ts'
import { publishCa } from './ca-files-publish.ts'
import { CaMaterial } from './ca-material.ts'
import { errnoOf, errorText, IdentityError } from './errors.ts'

export interface LoadCaOptions {
  /** Goes into the subjects of a CA that is made here. Default `cluster.local`. */
  readonly trustDomain?: string
  /** Milliseconds since the epoch. Default: now. */
  readonly now?: number
}

/** A folder's CA, and whether this call made it. */
export interface LoadedCa {
  readonly material: CaMaterial
  readonly created: boolean
}

/**
 * The CA in a folder of Istio's `cacerts` layout (`ca-cert.pem`, `ca-key.pem`,
 * `cert-chain.pem`, `root-cert.pem`). Makes one when the folder holds none of
 * these files; a folder that holds some of them is an error, never overwritten.
 * Several processes may start on one folder at once: all get the same CA.
 * Throws `IdentityError` CA_FILES_INVALID, which names the file and what to do.
 */
export async function loadOrCreateCa(dir: string, options: LoadCaOptions = {}): Promise<CaMaterial> {
  return (await openCa(dir, options)).material
}

/** As `loadOrCreateCa`, for a caller that tells its user which of the two happened. */
export async function openCa(dir: string, options: LoadCaOptions = {}): Promise<LoadedCa> {
  const now = options.now ?? Date.now()
  const names = await listFolder(dir)
  const present = CA_FILES.filter((name) => names.has(name))
  if (present.length === 0 && names.has('root-key.pem')) throw leftoverRootKey(dir)
  const created = present.length === 0 && (await publishCa(dir, await createCa({ ...options, now })))
  // A process that died, or is still busy, while publishing has left its set complete beside the folder's files.
  if (!created && present.length < CA_FILES.length) await publishCa(dir, undefined)
  return { material: await loadCa(dir, now), created }
}

/** Reads and checks; never writes. Throws as `loadOrCreateCa`, also when there is nothing. */
export async function loadCa(dir: string, now: number = Date.now()): Promise<CaMaterial> {
  const names = await listFolder(dir)
  const present = CA_FILES.filter((name) => names.has(name))
  const missing = CA_FILES.filter((name) => !present.includes(name))
  if (missing.length > 0) throw missingFiles(dir, present, missing)
  const texts = {} as Record<CaFileName, string>
  for (const name of CA_FILES) texts[name] = await readCaFile(join(dir, name))
  const keys = SECRET_FILES.filter((name) => names.has(name))
  const warnings = (await Promise.all(keys.map((name) => keyFileWarnings(join(dir, name))))).flat()
  const parts = checkedCa(dir, texts satisfies CaFileTexts, now)
  return new CaMaterial({ ...parts, warnings: [...(parts.warnings ?? []), ...warnings] })
}

async function listFolder(dir: string): Promise<ReadonlySet<string>> {
  try {
    return new Set(await readdir(dir))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return new Set()
    throw new IdentityError('CA_FILES_INVALID', `cannot list ${dir}: ${errorText(error)}`, { cause: error })
  }
}

async function readCaFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const message = `cannot read ${path}: ${errorText(error)}; the CA's files must be readable by the config server's user`
    throw new IdentityError('CA_FILES_INVALID', message, { cause: error })
  }
}

async function keyFileWarnings(path: string): Promise<string[]> {
  const { mode } = await stat(path)
  if ((mode & OTHERS) === 0) return []
  return [`${path} is open to other users (mode ${(mode & 0o777).toString(8)}): run chmod 600 on it`]
}

function missingFiles(
  dir: string,
  present: readonly CaFileName[],
  missing: readonly CaFileName[],
): IdentityError {
  const absent = missing.map((name) => join(dir, name)).join(', ')
  const advice =
    present.length === 0
      ? `run "ztunnel certs init --dir ${dir}" to make a CA there`
      : `${present.join(', ')} ${present.length === 1 ? 'is' : 'are'} there: add the rest of your own CA (the files of Istio's cacerts secret), or remove all of them to have a new CA made`
  return new IdentityError('CA_FILES_INVALID', `missing CA file ${absent}; ${advice}`)
}

function leftoverRootKey(dir: string): IdentityError {
  const path = join(dir, 'root-key.pem')
  const message = `${path} is there without its root-cert.pem; put the CA's other files back, or move it away to have a new CA made`
  return new IdentityError('CA_FILES_INVALID', message)
}

/** Who reads one of them can be anyone in the mesh. */
const SECRET_FILES = ['ca-key.pem', 'root-key.pem', 'token-key.pem'] as const
/** Read, write or run permission for the group or for everybody. */
const OTHERS = 0o077
