import { AF_NETLINK, MSG_DONTWAIT, SOCK_CLOEXEC, SOCK_RAW } from './constants.ts'
import { check, closeQuietly, libc } from './libc.ts'

/** The kernel's answer to one request. */
export interface NetlinkReply {
  readonly type: number
  /** Behind the netlink header. */
  readonly body: Buffer
}

/** A netlink socket (netlink(7)) that asks one question at a time. It belongs to the namespace it was opened in. */
export class NetlinkSocket {
  readonly #fd: number
  readonly #buffer = Buffer.alloc(MAX_REPLY_BYTES)
  #sequence = 0
  #open = true

  private constructor(fd: number) {
    this.#fd = fd
  }

  /** Opens a socket in the thread's current namespace. Throws LinuxError `system-call`. */
  static open(protocol: number): NetlinkSocket {
    return new NetlinkSocket(
      check(libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol), 'socket', 'netlink'),
    )
  }

  /**
   * Sends a request and returns its answer; undefined when the kernel answers with an error or not at all. It answers
   * such questions before `send` returns, so nothing here waits.
   */
  ask(type: number, body: Uint8Array): NetlinkReply | undefined {
    if (!this.#open) return undefined
    const sequence = ++this.#sequence
    const request = Buffer.alloc(HEADER_BYTES + body.length)
    request.writeUInt32LE(request.length, 0)
    request.writeUInt16LE(type, 4)
    request.writeUInt16LE(NLM_F_REQUEST, 6)
    request.writeUInt32LE(sequence, 8)
    request.set(body, HEADER_BYTES)
    if (libc.send(this.#fd, request, request.length, 0) !== request.length) return undefined
    for (let attempt = 0; attempt < MAX_STRAY_MESSAGES; attempt++) {
      const length = libc.recv(this.#fd, this.#buffer, this.#buffer.length, MSG_DONTWAIT)
      if (length < HEADER_BYTES) return undefined
      if (this.#buffer.readUInt32LE(8) !== sequence) continue
      const reply = this.#buffer.subarray(0, Math.min(length, this.#buffer.readUInt32LE(0)))
      const replyType = reply.readUInt16LE(4)
      return replyType === NLMSG_ERROR
        ? undefined
        : { type: replyType, body: Buffer.from(reply.subarray(HEADER_BYTES)) }
    }
    return undefined
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    closeQuietly(this.#fd)
  }
}

/** One attribute, padded to four bytes as they all are. */
export function netlinkAttribute(type: number, value: Uint8Array): Buffer {
  const attribute = Buffer.alloc(Math.ceil((ATTRIBUTE_HEADER_BYTES + value.length) / 4) * 4)
  attribute.writeUInt16LE(ATTRIBUTE_HEADER_BYTES + value.length, 0)
  attribute.writeUInt16LE(type, 2)
  attribute.set(value, ATTRIBUTE_HEADER_BYTES)
  return attribute
}

/** The value of an attribute among those that fill `attributes`. */
export function findNetlinkAttribute(attributes: Buffer, wanted: number): Buffer | undefined {
  let offset = 0
  while (offset + ATTRIBUTE_HEADER_BYTES <= attributes.length) {
    const length = attributes.readUInt16LE(offset)
    if (length < ATTRIBUTE_HEADER_BYTES) return undefined
    if ((attributes.readUInt16LE(offset + 2) & TYPE_MASK) === wanted)
      return attributes.subarray(offset + ATTRIBUTE_HEADER_BYTES, offset + length)
    offset += Math.ceil(length / 4) * 4
  }
  return undefined
}

/** `struct nlmsghdr`: length, type, flags, sequence number, port. */
const HEADER_BYTES = 16
const ATTRIBUTE_HEADER_BYTES = 4
/** The upper two bits of an attribute's type are flags. */
const TYPE_MASK = 0x3fff
const NLM_F_REQUEST = 1
const NLMSG_ERROR = 2
/** The answers asked for here are some hundred bytes. */
const MAX_REPLY_BYTES = 8192
/** Late answers to earlier questions; there is at most one at a time. */
const MAX_STRAY_MESSAGES = 4
