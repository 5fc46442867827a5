import { type FSWatcher, watch } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/** How to watch a file; see {@link FileWatch}. */
export interface FileWatchOptions {
  readonly path: string
  /** Called with the file's text when it has changed. Must not throw. */
  readonly onChange: (text: string) => void
  /** Called when it cannot be read, once for each distinct reason. */
  readonly onError: (error: Error) => void
  /** Time between looks without an event, milliseconds. Default 2000: some file systems send none. */
  readonly lookMs?: number
}

/** Larger files are refused: a mesh of ten thousand workloads written out in full is about 10 MB. Bytes. */
export const MAX_LOCAL_STATE_BYTES = 64 * 1024 * 1024
const LOOK_MS = 2_000
/** Quiet time after an event: editors and mounts change a file in several steps. Milliseconds. */
const DEBOUNCE_MS = 50

/** Tells when a file's text changes: by events where its file system has them, by looks where not. */
export class FileWatch {
  readonly #options: FileWatchOptions
  #text: string
  #mark = ''
  #lastError = ''
  #watcher: FSWatcher | undefined
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> = Promise.resolve()
  #closed = false

  /** `text` is what the file is known to say. */
  constructor(text: string, options: FileWatchOptions) {
    this.#text = text
    this.#options = options
    this.#watch()
    this.#schedule(options.lookMs ?? LOOK_MS)
  }

  /** Looks now; resolves when what the file says has been told. */
  look(): Promise<void> {
    this.#looking = this.#looking.then(() => this.#look())
    return this.#looking
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#watcher?.close()
    await this.#looking
  }

  /** The folder, since a file that is replaced by another of its name is a new one to the kernel. */
  #watch(): void {
    try {
      const watcher = watch(dirname(this.#options.path), { persistent: false }, () =>
        this.#schedule(DEBOUNCE_MS),
      )
      watcher.on('error', () => this.#unwatch(watcher))
      this.#watcher = watcher
    } catch {
      // Out of watches, or no folder now: the looks remain, and each tries again.
    }
  }

  #unwatch(watcher: FSWatcher): void {
    watcher.close()
    if (this.#watcher === watcher) this.#watcher = undefined
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer)
    if (this.#closed) return
    this.#timer = setTimeout(() => {
      if (this.#watcher === undefined) this.#watch()
      void this.look().then(() => this.#schedule(this.#options.lookMs ?? LOOK_MS))
    }, delayMs)
    this.#timer.unref()
  }

  async #look(): Promise<void> {
    if (this.#closed) return
    const { path, onChange, onError } = this.#options
    try {
      const { ino, size, mtimeNs } = await stat(path, { bigint: true })
      const mark = `${ino} ${size} ${mtimeNs}`
      if (mark === this.#mark) return
      if (size > MAX_LOCAL_STATE_BYTES)
        throw new Error(`${path} is larger than ${MAX_LOCAL_STATE_BYTES} bytes`)
      const text = await readFile(path, 'utf8')
      this.#mark = mark
      this.#lastError = ''
      if (text === this.#text || this.#closed) return
      this.#text = text
      onChange(text)
    } catch (cause) {
      const error = cause instanceof Error ? cause : new Error(String(cause))
      // When it is back it is read again, whatever its times are.
      this.#mark = ''
      if (this.#closed || error.message === this.#lastError) return
      this.#lastError = error.message
      onError(error)
    }
  }
}
