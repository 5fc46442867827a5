import { type FSWatcher, watch } from 'node:fs'
import { Folder, type FolderSnapshot } from './folder.ts'

export interface WatchOptions {
  /** Called with the first snapshot before `watchFolder` returns, then after every change. Must not throw. */
  readonly onChange: (snapshot: FolderSnapshot) => void
  /** Called when the folder itself cannot be listed or watched; the last snapshot stays in force. Once per distinct message. */
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

/** Reads a folder of Kubernetes YAML and keeps reading it. Fails if it cannot be listed at first. */
export async function watchFolder(directory: string, options: WatchOptions): Promise<FolderWatch> {
  const folder = new Folder(directory)
  await folder.scan()
  options.onChange(folder.snapshot)
  const watcher = new FolderWatcher(directory, folder, options)
  watcher.start()
  return watcher
}

class FolderWatcher implements FolderWatch {
  readonly #directory: string
  readonly #folder: Folder
  readonly #options: WatchOptions
  #watcher: FSWatcher | undefined
  #timer: NodeJS.Timeout | undefined
  #firstEventAt: number | undefined
  #scanning: Promise<void> = Promise.resolve()
  #lastError = ''
  #closed = false

  constructor(directory: string, folder: Folder, options: WatchOptions) {
    this.#directory = directory
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
    this.#watcher?.close()
    await this.#scanning
  }

  #watch(): void {
    try {
      this.#watcher = watch(this.#directory, { recursive: true, persistent: false }, () => this.#changed())
      this.#watcher.on('error', (error) => this.#lost(error))
    } catch (cause) {
      this.#lost(cause)
    }
  }

  /** Without events the periodic look still finds every change; it also tries to watch again. */
  #lost(cause: unknown): void {
    this.#watcher?.close()
    this.#watcher = undefined
    this.#report(cause)
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
        if (this.#watcher === undefined && !this.#closed) this.#watch()
        // An event that came meanwhile has set its own, earlier timer.
        if (this.#firstEventAt === undefined) this.#schedule(this.#options.rescanMs ?? RESCAN_MS)
      })
    }, delayMs)
    this.#timer.unref()
  }

  /** Between events: a file may be half written just now, so what is new is given the quiet time too. */
  async #look(): Promise<void> {
    await this.#scanning
    try {
      if (!this.#closed && (await this.#folder.differs())) this.#changed()
      else this.#lastError = ''
    } catch (cause) {
      this.#report(cause)
    }
  }

  async #scan(): Promise<void> {
    if (this.#closed) return
    try {
      const changed = await this.#folder.scan()
      this.#lastError = ''
      if (changed && !this.#closed) this.#options.onChange(this.#folder.snapshot)
    } catch (cause) {
      this.#report(cause)
    }
  }

  #report(cause: unknown): void {
    const error = cause instanceof Error ? cause : new Error(String(cause))
    if (this.#closed || error.message === this.#lastError) return
    this.#lastError = error.message
    this.#options.onError?.(error)
  }
}
