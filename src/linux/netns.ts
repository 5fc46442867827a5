import { fstatSync, writeSync } from 'node:fs'
import { CLONE_NEWNET, NS_GET_NSTYPE, O_CLOEXEC, O_RDONLY } from './constants.ts'
import { LinuxError } from './errors.ts'
import { check, closeQuietly, lastErrnoName, libc } from './libc.ts'

/** The namespace that the calling thread is in now. `/proc/self` would name the main thread's, wrong in a worker. */
const CURRENT = '/proc/thread-self/ns/net'

/**
 * An open network namespace. It exists for as long as the descriptor is open, whatever happens to the path it came
 * from. Two of them are the same namespace when device and inode agree, which is how Istio compares them too.
 */
export class NetworkNamespace {
  /**
   * Where this thread is while it is in no namespace by `run`; opened once and kept, for looking it up in /proc costs
   * more than two `setns`. It mirrors the kernel's own state of the thread, and a worker thread has its own.
   */
  static #home: number | undefined
  static #depth = 0
  readonly #fd: number
  #open = true
  readonly device: bigint
  readonly inode: bigint

  private constructor(fd: number) {
    this.#fd = fd
    const stat = fstatSync(fd, { bigint: true })
    this.device = stat.dev
    this.inode = stat.ino
  }

  /**
   * Opens a namespace by path, e.g. `/run/netns/default.client` or `/proc/<pid>/ns/net`. Throws {@link LinuxError}:
   * `system-call` when there is no such file, `not-a-network-namespace` when it is something else.
   */
  static open(path: string): NetworkNamespace {
    const fd = check(libc.open(path, O_RDONLY | O_CLOEXEC), 'open', path)
    if (libc.ioctl(fd, NS_GET_NSTYPE) !== CLONE_NEWNET) {
      closeQuietly(fd)
      throw new LinuxError(
        'not-a-network-namespace',
        `${path} is not a network namespace (yet); see ip netns list`,
      )
    }
    return new NetworkNamespace(fd)
  }

  /** The namespace that this thread is in. */
  static current(): NetworkNamespace {
    return NetworkNamespace.open(CURRENT)
  }

  /**
   * Takes ownership of a descriptor, such as one received over a socket. Whether it really is a namespace shows at
   * `run`: a peer's mistake then costs one pod, not the connection that it came over.
   */
  static fromFd(fd: number): NetworkNamespace {
    try {
      return new NetworkNamespace(fd)
    } catch (cause) {
      closeQuietly(fd)
      throw new LinuxError('not-a-network-namespace', `descriptor ${fd} cannot be examined`, { cause })
    }
  }

  /** The descriptor, valid until `close`. */
  get fd(): number {
    if (!this.#open) throw new LinuxError('closed', `network namespace ${this.inode} is closed`)
    return this.#fd
  }

  equals(other: NetworkNamespace): boolean {
    return this.inode === other.inode && this.device === other.device
  }

  /**
   * Runs `fn` with this thread inside the namespace and returns what it returns. Strictly synchronous: the sockets that
   * `fn` makes and the processes that it spawns belong to the namespace, whatever it starts and leaves to the event
   * loop or to Node's thread pool (files, DNS) does not. Nests. If the kernel does not let us return, the process is
   * aborted: going on would put one pod's traffic into another's network.
   */
  run<T>(fn: () => T): T {
    const outermost = NetworkNamespace.#depth === 0
    if (outermost) NetworkNamespace.#home ??= openCurrent()
    const back = (outermost ? NetworkNamespace.#home : undefined) ?? openCurrent()
    NetworkNamespace.#depth++
    try {
      check(libc.setns(this.fd, CLONE_NEWNET), 'setns', `network namespace ${this.inode}`)
      let result: T
      try {
        result = fn()
      } finally {
        if (libc.setns(back, CLONE_NEWNET) !== 0) abortInWrongNamespace(this.inode)
      }
      if (isPromise(result)) {
        throw new LinuxError(
          'asynchronous-in-namespace',
          'a function run in a network namespace returned a promise; it would go on outside of the namespace',
        )
      }
      return result
    } finally {
      NetworkNamespace.#depth--
      if (!outermost) closeQuietly(back)
    }
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    closeQuietly(this.#fd)
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

function openCurrent(): number {
  return check(libc.open(CURRENT, O_RDONLY | O_CLOEXEC), 'open', CURRENT)
}

function isPromise(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

function abortInWrongNamespace(inode: bigint): never {
  const errno = lastErrnoName()
  writeSync(2, `ztunnel: cannot leave network namespace ${inode} (setns: ${errno}); aborting\n`)
  // process.abort() does not exist in worker threads.
  libc.abort()
  throw new LinuxError('system-call', 'abort returned')
}
