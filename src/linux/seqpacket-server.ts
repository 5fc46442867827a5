import { chmodSync, lstatSync, unlinkSync } from 'node:fs'
import { SOCK_CLOEXEC, SOCK_NONBLOCK } from './constants.ts'
import { LinuxError, systemCallError } from './errors.ts'
import { check, closeQuietly, lastErrno, lastErrnoName, libc } from './libc.ts'
import { ReadinessWatcher } from './readiness.ts'
import { isTransient, newSeqpacketSocket, SeqpacketSocket } from './seqpacket-socket.ts'
import { encodeUnixAddress } from './sockaddr.ts'

/** Connections waiting to be accepted; a node has one proxy, two while it is upgraded. */
const BACKLOG = 16
/** Owner only: who can connect is handed every pod's network. */
const DEFAULT_MODE = 0o600

/** A listening Unix SOCK_SEQPACKET socket. */
export class SeqpacketServer {
  readonly path: string
  readonly #fd: number
  readonly #inode: bigint
  readonly #watcher: ReadinessWatcher
  #open = true
  #pending: { resolve: (s: SeqpacketSocket | undefined) => void; reject: (e: unknown) => void } | undefined

  private constructor(path: string, fd: number) {
    this.path = path
    this.#fd = fd
    this.#inode = lstatSync(path, { bigint: true }).ino
    this.#watcher = new ReadinessWatcher(fd, () => this.#deliver())
  }

  /**
   * Listens on a path, whose folder must exist. A socket that a dead process left there is replaced, one that answers
   * is not (`EADDRINUSE`). `mode` defaults to 0600. Throws LinuxError.
   */
  static listen(path: string, mode: number = DEFAULT_MODE): SeqpacketServer {
    const address = encodeUnixAddress(path)
    const fd = newSeqpacketSocket()
    try {
      if (libc.bind(fd, address, address.length) !== 0) {
        const errno = lastErrno()
        if (lastErrnoName() !== 'EADDRINUSE' || !removeStaleSocket(path, address)) {
          throw systemCallError('bind', path, errno)
        }
        check(libc.bind(fd, address, address.length), 'bind', path)
      }
      // Before listen, so that there is no moment in which others may connect.
      chmodSync(path, mode)
      check(libc.listen(fd, BACKLOG), 'listen', path)
      return new SeqpacketServer(path, fd)
    } catch (error) {
      closeQuietly(fd)
      throw error
    }
  }

  /** The next connection; undefined once closed. One accept at a time. Rejects with LinuxError `system-call`. */
  accept(): Promise<SeqpacketSocket | undefined> {
    if (this.#pending !== undefined) {
      return Promise.reject(new LinuxError('invalid-argument', 'an accept is pending already'))
    }
    if (!this.#open) return Promise.resolve(undefined)
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject }
      this.#deliver()
    })
  }

  /** Stops listening and removes the path if it is still ours; a pending accept resolves to undefined. */
  close(): void {
    if (!this.#open) return
    this.#open = false
    this.#watcher.close()
    closeQuietly(this.#fd)
    const stat = lstatSync(this.path, { bigint: true, throwIfNoEntry: false })
    if (stat?.ino === this.#inode) unlinkSync(this.path)
    const pending = this.#pending
    this.#pending = undefined
    pending?.resolve(undefined)
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #deliver(): void {
    const pending = this.#pending
    if (pending === undefined || !this.#open) return
    const fd = libc.accept4(this.#fd, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC)
    if (fd < 0) {
      const errno = lastErrno()
      if (isTransient(errno)) {
        this.#watcher.arm()
        return
      }
      this.#pending = undefined
      pending.reject(systemCallError('accept', this.path, errno))
      return
    }
    this.#pending = undefined
    pending.resolve(SeqpacketSocket.fromFd(fd))
  }
}

/** True when nobody answered at the path and it was removed. */
function removeStaleSocket(path: string, address: Uint8Array): boolean {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return false
  const probe = newSeqpacketSocket()
  const refused = libc.connect(probe, address, address.length) !== 0 && lastErrnoName() === 'ECONNREFUSED'
  closeQuietly(probe)
  if (refused) unlinkSync(path)
  return refused
}
