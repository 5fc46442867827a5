import { constants } from 'node:os'

/** What kind of thing went wrong; closed, so that callers can switch over it. */
export type LinuxErrorCode =
  /** The kernel refused a system call; `errno` names the reason. */
  | 'system-call'
  /** The descriptor or path is no network namespace (or not yet: `ip netns add` mounts it a moment after making the file). */
  | 'not-a-network-namespace'
  /** A function to run inside a namespace was asynchronous, so it would have gone on in another one. */
  | 'asynchronous-in-namespace'
  /** An address, path or interface name that the kernel interface cannot take. */
  | 'invalid-argument'
  /** Not Linux, or a kind of machine that the structures are not laid out for. */
  | 'unsupported-platform'
  /** The socket or capture was closed by us. */
  | 'closed'
  /** Another process has claimed the network namespace. */
  | 'claimed'
  /** A program that must be installed is not. */
  | 'program-missing'
  /** A program ran and failed, or did not end in time. */
  | 'program-failed'

/** More about a {@link LinuxError}. */
export interface LinuxErrorDetails {
  /** Symbolic errno, e.g. `EPERM`. */
  readonly errno?: string | undefined
  /** The system call or program that failed. */
  readonly operation?: string | undefined
  readonly cause?: unknown
}

/** The only error class that `src/linux` throws. */
export class LinuxError extends Error {
  readonly code: LinuxErrorCode
  readonly errno: string | undefined
  readonly operation: string | undefined

  constructor(code: LinuxErrorCode, message: string, details: LinuxErrorDetails = {}) {
    super(message, details.cause === undefined ? {} : { cause: details.cause })
    this.name = 'LinuxError'
    this.code = code
    this.errno = details.errno
    this.operation = details.operation
  }
}

/** The symbolic name of an errno value (`EPERM`), or `errno <n>` for one that this platform does not name. */
export function errnoName(value: number): string {
  for (const [name, number] of Object.entries(constants.errno)) if (number === value) return name
  return `errno ${value}`
}

/** The error for a system call that the kernel refused: which call, on what, and what to check for the usual reasons. */
export function systemCallError(operation: string, subject: string, errno: number): LinuxError {
  const name = errnoName(errno)
  const hint = HINTS[name]
  const message = `${operation} ${subject}: ${name}${hint === undefined ? '' : ` (${hint})`}`
  return new LinuxError('system-call', message, { errno: name, operation })
}

const HINTS: Readonly<Record<string, string>> = {
  EPERM: 'needs CAP_NET_ADMIN, CAP_NET_RAW or CAP_SYS_ADMIN in the namespace that is touched',
  EACCES: 'permission denied; check the owner and mode of the path',
  EADDRINUSE: 'another process listens there; is a second proxy or agent running?',
  EADDRNOTAVAIL: 'the address is not one of this network namespace',
  ENOENT: 'does not exist',
  ECONNREFUSED: 'nobody listens there',
  EMFILE: 'out of file descriptors; raise the limit (ulimit -n)',
}
