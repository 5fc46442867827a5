import { SO_ATTACH_REUSEPORT_CBPF, SOL_SOCKET } from './constants.ts'
import { addressOf, libc } from './libc.ts'

/**
 * Classic BPF (`struct sock_filter`): return 1. The kernel takes the result for
 * the number of the socket in the group, counted from the oldest at 0, and goes
 * by the hash of the connection when there is no such socket.
 */
const RETURN_ONE = { code: 0x06, operand: 1 }

/**
 * Of two listeners that share a port by `SO_REUSEPORT`, lets the younger have
 * all new connections from now on; a listener that is alone keeps them. So a
 * process that replaces another gets everything as soon as it listens, and
 * nothing waits in the old one's queue, unaccepted, to be reset when that
 * closes. False where the kernel refuses: both then share, as without.
 * Call after `listen`.
 */
export function preferNewestListener(fd: number): boolean {
  const program = Buffer.alloc(8)
  program.writeUInt16LE(RETURN_ONE.code, 0)
  program.writeUInt32LE(RETURN_ONE.operand, 4)
  // `struct sock_fprog`: the number of instructions and, 8 bytes on, their address.
  const descriptor = Buffer.alloc(16)
  descriptor.writeUInt16LE(1, 0)
  descriptor.writeBigUInt64LE(addressOf(program), 8)
  return libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, descriptor, descriptor.length) === 0
}
