import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { loadCa } from './ca-files.ts'
import { CA_FILES } from './ca-files-check.ts'
import type { CaMaterial } from './ca-material.ts'
import type { CertificateAuthority } from './certificate-authority.ts'
import { errnoOf, errorText } from './errors.ts'
import { type IdentityLog, silentLog } from './log.ts'

export interface CaWatchOptions {
  readonly log?: IdentityLog
  /** Time between looks at the files, milliseconds. Default 1000. */
  readonly intervalMs?: number
}

/** A CA's folder under observation. */
export interface CaWatch {
  /** Why the folder's present files are not in force; undefined when they are. */
  readonly problem: string | undefined
  /** Resolves when no look is under way any more. */
  close(): Promise<void>
}

/**
 * Keeps an authority on what its folder holds. Files that make no CA (half
 * copied, a key of another certificate, expired) are reported once and looked
 * at again; until they make one the last good CA signs.
 */
export function watchCa(dir: string, ca: CertificateAuthority, options: CaWatchOptions = {}): CaWatch {
  return new FolderWatch(dir, ca, options)
}

class FolderWatch implements CaWatch {
  readonly #dir: string
  readonly #ca: CertificateAuthority
  readonly #log: IdentityLog
  readonly #intervalMs: number
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> = Promise.resolve()
  #closed = false
  #problem: string | undefined
  #settling = false
  /** Of the files at the last look, and of those that were read last. */
  #seen = ''
  #read = ''

  constructor(dir: string, ca: CertificateAuthority, { log = silentLog, intervalMs }: CaWatchOptions) {
    this.#dir = dir
    this.#ca = ca
    this.#log = log
    this.#intervalMs = intervalMs ?? LOOK_INTERVAL_MS
    this.#schedule()
  }

  get problem(): string | undefined {
    return this.#problem
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    await this.#looking
  }

  /** By looks, not by events: four calls of stat cost nothing, and they work on every file system and for symbolic links. */
  #schedule(): void {
    if (this.#closed) return
    const delayMs = this.#settling ? Math.min(SETTLE_MS, this.#intervalMs) : this.#intervalMs
    this.#timer = setTimeout(() => {
      this.#looking = this.#look().finally(() => this.#schedule())
    }, delayMs)
    this.#timer.unref()
  }

  async #look(): Promise<void> {
    const now = await fingerprint(this.#dir)
    // Someone may be in the middle of copying: what is new must still be the same at the next look.
    this.#settling = now !== this.#seen
    this.#seen = now
    // Files that cannot be used now may be later: "not valid before".
    if (this.#settling || (now === this.#read && this.#problem === undefined)) return
    try {
      const material = await loadCa(this.#dir)
      if (this.#closed) return
      this.#inForce(material)
    } catch (error) {
      this.#refused(error)
    }
    this.#read = now
  }

  #inForce(material: CaMaterial): void {
    this.#problem = undefined
    if (isSame(material, this.#ca.material)) return
    this.#ca.replace(material)
    for (const warning of material.warnings) this.#log.warn({}, warning)
    const { subject, notAfter, roots } = material
    this.#log.info({ dir: this.#dir, subject, notAfter, roots: roots.length }, 'CA replaced')
  }

  #refused(error: unknown): void {
    const problem = errorText(error)
    if (problem === this.#problem) return
    this.#problem = problem
    const fields = { err: error, subject: this.#ca.material.subject }
    this.#log.error(
      fields,
      "the CA's files changed and cannot be used; the CA that was read last goes on signing",
    )
  }
}

function isSame(a: CaMaterial, b: CaMaterial): boolean {
  const text = ({ issuerPem, intermediatesPem, rootsPem }: CaMaterial) =>
    [issuerPem, ...intermediatesPem, rootsPem].join('')
  return text(a) === text(b)
}

/** Changes with any write, rename or link swap of any of the files. */
async function fingerprint(dir: string): Promise<string> {
  const each = CA_FILES.map(async (name) => {
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = await stat(join(dir, name), { bigint: true })
      return [dev, ino, size, mtimeNs, ctimeNs].join(':')
    } catch (error) {
      return errnoOf(error) ?? 'unreadable'
    }
  })
  return (await Promise.all(each)).join(' ')
}

/** Nobody who rotates a CA waits for less, milliseconds. */
const LOOK_INTERVAL_MS = 1_000
/** For so long must changed files stay as they are before they are read, milliseconds. */
const SETTLE_MS = 250
