import { type FSWatcher, watch } from 'node:fs'
import { basename, dirname } from 'node:path'

/**
 * Tells when a network namespace's path may have come or gone. A hint, not a promise: folders that do not exist yet
 * cannot be watched, and a namespace is mounted a moment after its file appears; so callers also look by themselves.
 */
export class NamespaceWatch {
  readonly #watchers = new Map<string, FSWatcher>()
  readonly #onChange: (path: string) => void

  constructor(onChange: (path: string) => void) {
    this.#onChange = onChange
  }

  /** Watches the folder of a path. Again and again is fine, and takes up a folder that did not exist before. */
  include(path: string): void {
    const directory = dirname(path)
    if (this.#watchers.has(directory)) return
    try {
      const watcher = watch(directory, { persistent: false }, (_, file) => {
        if (file !== null) this.#onChange(`${directory}/${basename(file)}`)
      })
      watcher.on('error', () => this.#drop(directory))
      this.#watchers.set(directory, watcher)
    } catch {
      // Not there yet, or out of watches: the caller's own looks remain.
    }
  }

  close(): void {
    for (const directory of [...this.#watchers.keys()]) this.#drop(directory)
  }

  #drop(directory: string): void {
    this.#watchers.get(directory)?.close()
    this.#watchers.delete(directory)
  }
}
