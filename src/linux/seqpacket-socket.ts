import {
  AF_UNIX,
  MSG_CMSG_CLOEXEC,
  MSG_CTRUNC,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  MSG_TRUNC,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_SEQPACKET,
} from './constants.ts'
import { LinuxError, systemCallError } from './errors.ts'
import { check, closeQuietly, lastErrno, libc } from './libc.ts'
import { receiveMessage, sendMessage } from './message.ts'
import { ReadinessWatcher } from './readiness.ts'
import { encodeUnixAddress } from './sockaddr.ts'

/** One packet. The descriptors are close-on-exec and the receiver's to close, all of them. */
export interface Packet {
  readonly data: Uint8Array
  readonly fds: readonly number[]
  /** The packet, or the descriptors with it, did not fit; the rest is lost. */
  readonly truncated: boolean
}

/**
 * Descriptors taken from one packet at most; the kernel closes any more. Our protocol knows one: a few more are let in
 * so that a peer's mistake can be told from an attempt to fill our descriptor table (a packet can carry 253).
 */
const MAX_FDS_PER_PACKET = 4

/**
 * A connected Unix SOCK_SEQPACKET socket with descriptor passing (unix(7)), which Node cannot do: packet boundaries
 * are kept, order too. Everything is non-blocking and runs on Node's event loop.
 */
export class SeqpacketSocket {
  readonly #fd: number
  readonly #watcher: ReadinessWatcher
  #open = true
  #pending:
    | { maxBytes: number; resolve: (p: Packet | undefined) => void; reject: (e: unknown) => void }
    | undefined

  private constructor(fd: number) {
    this.#fd = fd
    this.#watcher = new ReadinessWatcher(fd, () => this.#deliver())
  }

  /** Connects to a path. Rejects with LinuxError `system-call`: `ENOENT`, `ECONNREFUSED`, `EAGAIN` (its queue is full). */
  static async connect(path: string): Promise<SeqpacketSocket> {
    const fd = newSeqpacketSocket()
    const address = encodeUnixAddress(path)
    if (libc.connect(fd, address, address.length) !== 0) {
      const error = systemCallError('connect', path, lastErrno())
      closeQuietly(fd)
      throw error
    }
    return new SeqpacketSocket(fd)
  }

  /** Takes ownership of a connected, non-blocking SOCK_SEQPACKET descriptor. */
  static fromFd(fd: number): SeqpacketSocket {
    return new SeqpacketSocket(fd)
  }

  /**
   * Sends one packet, with descriptors if given (they stay the caller's). Never waits: a peer that does not read is
   * `EAGAIN`, one that is gone `EPIPE`, both as LinuxError `system-call`.
   */
  send(data: Uint8Array, fds: readonly number[] = []): void {
    if (!this.#open) throw new LinuxError('closed', 'the packet socket is closed')
    check(sendMessage(this.#fd, data, fds, MSG_DONTWAIT | MSG_NOSIGNAL), 'sendmsg', 'packet socket')
  }

  /**
   * The next packet, cut at `maxBytes`; undefined when the peer closed (with or without having read all of ours) or
   * we did. An empty packet is told as the end too: the kernel shows them alike. One receive at a time. Rejects with LinuxError `system-call`.
   */
  receive(maxBytes: number): Promise<Packet | undefined> {
    if (this.#pending !== undefined) {
      return Promise.reject(new LinuxError('invalid-argument', 'a receive is pending already'))
    }
    if (!this.#open) return Promise.resolve(undefined)
    return new Promise((resolve, reject) => {
      this.#pending = { maxBytes, resolve, reject }
      this.#deliver()
    })
  }

  /** Lets the process end although a receive is pending. */
  unref(): void {
    this.#watcher.setReferenced(false)
  }

  /** Closes the socket; a pending receive resolves to undefined. */
  close(): void {
    if (!this.#open) return
    this.#open = false
    this.#watcher.close()
    closeQuietly(this.#fd)
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
    const buffer = Buffer.alloc(pending.maxBytes)
    const { length, fds, flags } = receiveMessage(
      this.#fd,
      buffer,
      MAX_FDS_PER_PACKET,
      MSG_DONTWAIT | MSG_CMSG_CLOEXEC,
    )
    if (length < 0) {
      const errno = lastErrno()
      if (isTransient(errno)) {
        this.#watcher.arm()
        return
      }
      this.#pending = undefined
      if (errno === ECONNRESET) pending.resolve(undefined)
      else pending.reject(systemCallError('recvmsg', 'packet socket', errno))
      return
    }
    this.#pending = undefined
    const truncated = (flags & (MSG_TRUNC | MSG_CTRUNC)) !== 0
    const ended = length === 0 && fds.length === 0 && !truncated
    pending.resolve(ended ? undefined : { data: buffer.subarray(0, length), fds, truncated })
  }
}

/** A new non-blocking socket, for this folder only. */
export function newSeqpacketSocket(): number {
  const type = SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC
  return check(libc.socket(AF_UNIX, type, 0), 'socket', 'Unix SOCK_SEQPACKET')
}

/** How a Unix socket says that the peer closed before it read all that we sent. */
const ECONNRESET = 104

/** EINTR, EAGAIN, ECONNABORTED: try again when ready. For this folder only. */
export function isTransient(errno: number): boolean {
  return TRANSIENT.has(errno)
}

const TRANSIENT: ReadonlySet<number> = new Set([4, 11, 103])
