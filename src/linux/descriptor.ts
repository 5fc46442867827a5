import { F_DUPFD_CLOEXEC } from './constants.ts'
import { check, closeQuietly, libc } from './libc.ts'

/**
 * Another descriptor of the same open file, for a thread that closes it by itself: what it stands for (a listening
 * socket, a namespace) lives until both are closed. Throws LinuxError `system-call`.
 */
export function duplicateDescriptor(fd: number): number {
  return check(libc.fcntl(fd, F_DUPFD_CLOEXEC, 0), 'fcntl', `descriptor ${fd}`)
}

/** Closes a descriptor that no Node object owns. */
export function closeDescriptor(fd: number): void {
  closeQuietly(fd)
}
