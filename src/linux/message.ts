import { SCM_RIGHTS, SOL_SOCKET } from './constants.ts'
import { addressOf, libc, type MessageHeader } from './libc.ts'

/** One message as `recvmsg` gave it. `length` is negative when the call failed. */
export interface RawMessage {
  readonly length: number
  readonly fds: number[]
  readonly flags: number
}

/** `sizeof(struct cmsghdr)` on 64-bit Linux: length (8), level (4), type (4). */
const CONTROL_HEADER_BYTES = 16
const FD_BYTES = 4

/** `sendmsg` of one buffer and, with it, descriptors (SCM_RIGHTS; unix(7), cmsg(3)). The kernel's return value. */
export function sendMessage(fd: number, data: Uint8Array, fds: readonly number[], flags: number): number {
  const control = encodeRights(fds)
  const vector = ioVector(data)
  const header = messageHeader(vector, control)
  const result = libc.sendmsg(fd, header, flags)
  keepAlive(data, control, vector)
  return result
}

/**
 * `recvmsg` of one message into `buffer`, with room for `maxFds` descriptors: the kernel closes what exceeds them and
 * sets MSG_CTRUNC. The descriptors returned are the caller's to close. `name` receives the sender's address.
 */
export function receiveMessage(
  fd: number,
  buffer: Uint8Array,
  maxFds: number,
  flags: number,
  name?: Uint8Array,
): RawMessage {
  const control = maxFds === 0 ? undefined : Buffer.alloc(CONTROL_HEADER_BYTES + align(maxFds * FD_BYTES))
  const vector = ioVector(buffer)
  const header = messageHeader(vector, control, name)
  const length = libc.recvmsg(fd, header, flags)
  keepAlive(buffer, control, vector, name)
  if (length < 0 || control === undefined) return { length, fds: [], flags: header.msg_flags }
  return { length, fds: decodeRights(control.subarray(0, header.msg_controllen)), flags: header.msg_flags }
}

/** The descriptors in a control buffer; messages of other kinds are passed over. */
export function decodeRights(control: Uint8Array): number[] {
  const view = Buffer.from(control.buffer, control.byteOffset, control.byteLength)
  const fds: number[] = []
  let offset = 0
  while (offset + CONTROL_HEADER_BYTES <= view.length) {
    const length = Number(view.readBigUInt64LE(offset))
    if (length < CONTROL_HEADER_BYTES) break
    const end = Math.min(offset + length, view.length)
    if (view.readInt32LE(offset + 8) === SOL_SOCKET && view.readInt32LE(offset + 12) === SCM_RIGHTS) {
      for (let at = offset + CONTROL_HEADER_BYTES; at + FD_BYTES <= end; at += FD_BYTES)
        fds.push(view.readInt32LE(at))
    }
    offset += align(length)
  }
  return fds
}

/** A control buffer that carries the descriptors; undefined for none. */
export function encodeRights(fds: readonly number[]): Uint8Array | undefined {
  if (fds.length === 0) return undefined
  const length = CONTROL_HEADER_BYTES + fds.length * FD_BYTES
  const bytes = Buffer.alloc(align(length))
  bytes.writeBigUInt64LE(BigInt(length), 0)
  bytes.writeInt32LE(SOL_SOCKET, 8)
  bytes.writeInt32LE(SCM_RIGHTS, 12)
  for (const [index, fd] of fds.entries()) bytes.writeInt32LE(fd, CONTROL_HEADER_BYTES + index * FD_BYTES)
  return bytes
}

/** `struct iovec` for one buffer. */
function ioVector(data: Uint8Array): Buffer {
  const bytes = Buffer.alloc(16)
  bytes.writeBigUInt64LE(data.length === 0 ? 0n : addressOf(data), 0)
  bytes.writeBigUInt64LE(BigInt(data.length), 8)
  return bytes
}

function messageHeader(vector: Uint8Array, control?: Uint8Array, name?: Uint8Array): MessageHeader {
  return {
    msg_name: name === undefined ? null : addressOf(name),
    msg_namelen: name?.length ?? 0,
    msg_iov: addressOf(vector),
    msg_iovlen: 1,
    msg_control: control === undefined ? null : addressOf(control),
    msg_controllen: control?.length ?? 0,
    msg_flags: 0,
  }
}

/** Control messages are aligned to 8 bytes on 64-bit Linux (`CMSG_ALIGN`). */
function align(length: number): number {
  return (length + 7) & ~7
}

/** The addresses above are invisible to the garbage collector; a later use of the buffers is not. */
function keepAlive(...buffers: readonly (Uint8Array | undefined)[]): number {
  return buffers.length
}
