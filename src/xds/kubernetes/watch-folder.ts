import { type FSWatcher, statSync, watch } from 'node:fs'
import { Folder, type FolderSnapshot } from './folder.ts'

export interface WatchOptions {
  /** Called with the first snapshot before `watchFolder` returns, then after every change. Must not throw. */
  readonly onChange: (snapshot: FolderSnapshot) => void
  /** Called when the file system sends no events for a folder: changes are then seen at the next look. Once per distinct message. */
  readonly onError?: (error: Error) => void
  /** Quiet time after an event before the folder is read, milliseconds. Default 100, as istiod's. */
  readonly debounceMs?: number
  /**
   * Time between looks at the folder without an event, milliseconds. Default
   * 2000. Network and virtual machine file systems (a laptop's folder mounted
   * into a container) send no events.
   */
  readonly rescanMs?: number
}

export interface FolderWatch {
  readonly snapshot: FolderSnapshot
  /** Looks now; resolves when the folder's present content is in force. */
  rescan(): Promise<void>
  close(): Promise<void>
}

/** Default quiet time, milliseconds. */
const DEBOUNCE_MS = 100
/** A folder that never falls quiet is read at least this often, milliseconds. */
const MAX_DEBOUNCE_MS = 1000
const RESCAN_MS = 2000

/** Reads a folder of Kubernetes YAML, or several as one, and keeps reading. Fails if one cannot be listed at first. */
export async function watchFolder(
  directories: string | readonly string[],
  options: WatchOptions,
): Promise<FolderWatch> {
  const folder = new Folder(directories)
  await folder.scan()
  options.onChange(folder.snapshot)
  const watcher = new FolderWatcher([directories].flat(), folder, options)
  watcher.start()
  return watcher
}

class FolderWatcher implements FolderWatch {
  readonly #directories: readonly string[]
  readonly #folder: Folder
  readonly #options: WatchOptions
  readonly #watchers = new Map<string, Watched>()
  #timer: NodeJS.Timeout | undefined
  #firstEventAt: number | undefined
  #scanning: Promise<void> = Promise.resolve()
  #lastError = ''
  #closed = false

  constructor(directories: readonly string[], folder: Folder, options: WatchOptions) {
    this.#directories = directories
    this.#folder = folder
    this.#options = options
  }

  get snapshot(): FolderSnapshot {
    return this.#folder.snapshot
  }

  start(): void {
    this.#watch()
    this.#schedule(this.#options.rescanMs ?? RESCAN_MS)
  }

  rescan(): Promise<void> {
    // One after the other: two scans at once could end in the wrong order.
    this.#scanning = this.#scanning.then(() => this.#scan())
    return this.#scanning
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    for (const { watcher } of this.#watchers.values()) watcher.close()
    await this.#scanning
  }

  /**
   * Events of a folder stay with it when it is renamed, or when a link to it
   * comes to point elsewhere: another one in its place is watched anew.
   */
  #watch(): void {
    for (const directory of this.#directories) {
      const present = identityOf(directory)
      const known = this.#watchers.get(directory)
      if (known?.identity === present) continue
      known?.watcher.close()
      this.#watchers.delete(directory)
      // One that is not there is a problem of the snapshot.
      if (present !== undefined) this.#watchOne(directory, present)
    }
  }

  #watchOne(directory: string, identity: string): void {
    const lost = (cause: unknown) => {
      this.#watchers.get(directory)?.watcher.close()
      this.#watchers.delete(directory)
      this.#report(cause)
    }
    try {
      const watcher = watch(directory, { recursive: true, persistent: false }, () => this.#changed())
      this.#watchers.set(directory, { watcher, identity })
      watcher.on('error', lost)
    } catch (cause) {
      // Without events the periodic look still finds every change; it also tries to watch again.
      lost(cause)
    }
  }

  #changed(): void {
    const now = performance.now()
    this.#firstEventAt ??= now
    const quiet = this.#options.debounceMs ?? DEBOUNCE_MS
    this.#schedule(Math.max(0, Math.min(quiet, this.#firstEventAt + MAX_DEBOUNCE_MS - now)))
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer)
    if (this.#closed) return
    this.#timer = setTimeout(() => {
      const settled = this.#firstEventAt !== undefined
      this.#firstEventAt = undefined
      void (settled ? this.rescan() : this.#look()).then(() => {
        if (!this.#closed) this.#watch()
        // An event that came meanwhile has set its own, earlier timer.
        if (this.#firstEventAt === undefined) this.#schedule(this.#options.rescanMs ?? RESCAN_MS)
      })
    }, delayMs)
    this.#timer.unref()
  }

  /** Between events: a file may be half written just now, so what is new is given the quiet time too. */
  async #look(): Promise<void> {
    await this.#scanning
    if (!this.#closed && (await this.#folder.differs())) this.#changed()
  }

  async #scan(): Promise<void> {
    if (this.#closed) return
    const changed = await this.#folder.scan()
    if (changed && !this.#closed) this.#options.onChange(this.#folder.snapshot)
  }

  #report(cause: unknown): void {
    const error = cause instanceof Error ? cause : new Error(String(cause))
    if (this.#closed || error.message === this.#lastError) return
    this.#lastError = error.message
    this.#options.onError?.(error)
  }
}

interface Watched {
  readonly watcher: FSWatcher
  /** Of the folder that sends its events. */
  readonly identity: string
}

/** Undefined when there is none. */
function identityOf(directory: string): string | undefined {
  try {
    const { dev, ino } = statSync(directory)
    return `${dev}:${ino}`
  } catch {
    return undefined
  }
}
