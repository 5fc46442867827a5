import { LOCK_EX, LOCK_NB, O_CLOEXEC, O_RDONLY } from './constants.ts'
import { LinuxError } from './errors.ts'
import { check, closeQuietly, lastErrnoName, libc } from './libc.ts'

/**
 * Being the only one of its kind that works on a network namespace: a lock (`flock`) on the namespace itself, which all
 * who can reach the namespace see, from whatever container or mount namespace, and which ends with the process.
 */
export class NamespaceClaim {
  readonly #fd: number

  private constructor(fd: number) {
    this.#fd = fd
  }

  /**
   * Claims what is at the path. Throws LinuxError `claimed` when another process has, `system-call` when there is
   * nothing. The descriptor is its own: a lock is shared with whom a descriptor is passed to.
   */
  static take(path: string): NamespaceClaim {
    const fd = check(libc.open(path, O_RDONLY | O_CLOEXEC), 'open', path)
    if (libc.flock(fd, LOCK_EX | LOCK_NB) === 0) return new NamespaceClaim(fd)
    const errno = lastErrnoName()
    closeQuietly(fd)
    const message = `another agent has ${path}: two agents take the same pods; give each a node of its own (--node), or end one`
    throw new LinuxError('claimed', message, { errno, operation: 'flock' })
  }

  release(): void {
    closeQuietly(this.#fd)
  }
}
