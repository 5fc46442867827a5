import { readFileSync } from 'node:fs'
import { SO_ATTACH_REUSEPORT_CBPF, SOL_SOCKET } from './constants.ts'
import { addressOf, libc } from './libc.ts'

/** A process's listeners on one port, among all those that share it. */
export interface ListenerGroup {
  /** How many of other processes were there first; see {@link countListeners}. */
  readonly older: number
  /** How many this process has. */
  readonly own: number
}

/** One classic BPF instruction (`struct sock_filter`). */
interface Instruction {
  readonly code: number
  readonly jumpTrue?: number
  readonly jumpFalse?: number
  /** Unsigned, 32 bits. */
  readonly operand: number
}

/** Offsets from here on count from the network header (`SKF_NET_OFF`, -0x100000). */
const NETWORK_HEADER = 0xfff00000

/** Of an IPv6 header, which has a fixed length. Bytes. */
const IPV6_HEADER = 40

/** More listeners of one process than any machine has cores for: they go by the kernel's hash. */
const MAX_OWN = 1024

/**
 * Of the listeners that share a port by `SO_REUSEPORT`, lets those of the youngest process have all new connections
 * from now on, one after the other as clients count up their ports; listeners that are alone keep them. So a process
 * that replaces another gets everything as soon as it listens, and nothing waits in the old one's queue, unaccepted, to
 * be reset when that closes. False where the kernel refuses: all then share, as without.
 *
 * The kernel takes the program's result for the number of the socket in the group, counted from the oldest at 0, and
 * goes by the hash of the connection when there is no such socket. Its own hash would often put the few long
 * connections between two nodes on one of two listeners. Linux counts up the source ports towards one destination by
 * two; successive connections so come to successive listeners.
 *
 * Call after `listen`; the last call holds for the whole group.
 */
export function preferNewestListeners(fd: number, { older, own }: ListenerGroup): boolean {
  const program = own > 1 && own <= MAX_OWN ? spread(older, own) : [{ code: RETURN, operand: older }]
  const bytes = Buffer.alloc(program.length * 8)
  for (const [i, { code, jumpTrue = 0, jumpFalse = 0, operand }] of program.entries()) {
    bytes.writeUInt16LE(code, i * 8)
    bytes.writeUInt8(jumpTrue, i * 8 + 2)
    bytes.writeUInt8(jumpFalse, i * 8 + 3)
    bytes.writeUInt32LE(operand, i * 8 + 4)
  }
  // `struct sock_fprog`: the number of instructions and, 8 bytes on, their address.
  const descriptor = Buffer.alloc(16)
  descriptor.writeUInt16LE(program.length, 0)
  descriptor.writeBigUInt64LE(addressOf(bytes), 8)
  return libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, descriptor, descriptor.length) === 0
}

/**
 * How many listening sockets of TCP there are on `port` in the thread's current network namespace, on all addresses of
 * the family. Undefined where /proc cannot tell.
 */
export function countListeners(family: 4 | 6, port: number): number | undefined {
  let text: string
  try {
    // `/proc/net` is the main thread's.
    text = readFileSync(`/proc/thread-self/net/${family === 4 ? 'tcp' : 'tcp6'}`, 'latin1')
  } catch {
    return undefined
  }
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  let count = 0
  for (const line of text.split('\n').slice(1)) {
    const [, local, , state] = line.trim().split(/\s+/, 4)
    if (state === LISTENING && local?.endsWith(suffix) === true) count++
  }
  return count
}

/** The state of a socket in /proc: TCP_LISTEN. */
const LISTENING = '0A'

/** `BPF_RET | BPF_K`. */
const RETURN = 0x06

/** older + (source port / 2) mod own. */
function spread(older: number, own: number): readonly Instruction[] {
  return [
    // A = first byte of the packet, X = 4 * its low half: an IPv4 header's length.
    { code: LOAD_BYTE, operand: NETWORK_HEADER },
    { code: LOAD_X_HEADER_LENGTH, operand: NETWORK_HEADER },
    { code: SHIFT_RIGHT, operand: 4 },
    { code: JUMP_IF_EQUAL, jumpTrue: 0, jumpFalse: 2, operand: 6 },
    { code: LOAD_HALF, operand: NETWORK_HEADER + IPV6_HEADER },
    { code: JUMP, operand: 1 },
    { code: LOAD_HALF_AT_X, operand: NETWORK_HEADER },
    { code: SHIFT_RIGHT, operand: 1 },
    { code: MODULO, operand: own },
    { code: ADD, operand: older },
    { code: RETURN_A, operand: 0 },
  ]
}

const LOAD_BYTE = 0x30
const LOAD_HALF = 0x28
const LOAD_HALF_AT_X = 0x48
const LOAD_X_HEADER_LENGTH = 0xb1
const SHIFT_RIGHT = 0x74
const JUMP_IF_EQUAL = 0x15
const JUMP = 0x05
const MODULO = 0x94
const ADD = 0x04
const RETURN_A = 0x16
