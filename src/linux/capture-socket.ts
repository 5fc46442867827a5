import {
  AF_PACKET,
  ETH_P_ALL,
  SO_ATTACH_FILTER,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOL_SOCKET,
} from './constants.ts'
import { systemCallError } from './errors.ts'
import { addressOf, check, closeQuietly, lastErrno, libc, setIntOption } from './libc.ts'
import type { NetworkNamespace } from './netns.ts'

/** A TCP packet that the kernel has not cut into segments is at most this large; longer ones are cut (snap length). */
export const MAX_PACKET_BYTES = 65_535
/** Room for a burst while the event loop is busy; the kernel counts its own overhead for each packet too. Bytes. */
const RECEIVE_BUFFER_BYTES = 16 * 1024 * 1024
/** `sizeof(struct sockaddr_ll)` is 20; the interface is at 4, the packet's type at 10. */
export const LINK_ADDRESS_BYTES = 20

/**
 * Classic BPF (`struct sock_filter`: code, jump if true, jump if false, operand) on the packet from its IP header on:
 * IPv4 with protocol 6, or IPv6 with next header 6.
 */
const TCP_FILTER: readonly (readonly [number, number, number, number])[] = [
  [0x30, 0, 0, 0], //      ldb [0]
  [0x54, 0, 0, 0xf0], //   and #0xf0
  [0x15, 0, 2, 0x40], //   jeq #0x40 (IPv4), else +2
  [0x30, 0, 0, 9], //      ldb [9]
  [0x05, 0, 0, 2], //      ja +2
  [0x15, 0, 3, 0x60], //   jeq #0x60 (IPv6), else reject
  [0x30, 0, 0, 6], //      ldb [6]
  [0x15, 0, 1, 6], //      jeq #6 (TCP), else reject
  [0x06, 0, 0, MAX_PACKET_BYTES], // ret snap length
  [0x06, 0, 0, 0], //      ret 0
]

/**
 * A non-blocking packet socket (packet(7)) that gives the TCP packets of one interface, or of all, from their IP header
 * on. Throws LinuxError `system-call`.
 */
export function openCaptureSocket(namespace: NetworkNamespace, name: string | undefined): number {
  return namespace.run(() => {
    const index = name === undefined ? 0 : interfaceIndex(name)
    // Protocol 0 receives nothing until bind, by when the filter is on.
    const fd = check(
      libc.socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
      'socket',
      'packet capture',
    )
    try {
      attachFilter(fd)
      if (!setIntOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)) {
        setIntOption(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER_BYTES)
      }
      const address = Buffer.alloc(LINK_ADDRESS_BYTES)
      address.writeUInt16LE(AF_PACKET, 0)
      address.writeUInt16BE(ETH_P_ALL, 2)
      address.writeInt32LE(index, 4)
      check(libc.bind(fd, address, address.length), 'bind', `packet capture on ${name ?? 'all interfaces'}`)
      return fd
    } catch (error) {
      closeQuietly(fd)
      throw error
    }
  })
}

/** `struct sock_fprog`: the number of instructions and, 8 bytes on, their address. */
function attachFilter(fd: number): void {
  const program = Buffer.alloc(TCP_FILTER.length * 8)
  for (const [index, [code, ifTrue, ifFalse, operand]] of TCP_FILTER.entries()) {
    program.writeUInt16LE(code, index * 8)
    program.writeUInt8(ifTrue, index * 8 + 2)
    program.writeUInt8(ifFalse, index * 8 + 3)
    program.writeUInt32LE(operand, index * 8 + 4)
  }
  const descriptor = Buffer.alloc(16)
  descriptor.writeUInt16LE(TCP_FILTER.length, 0)
  descriptor.writeBigUInt64LE(addressOf(program), 8)
  check(libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, descriptor, 16), 'setsockopt', 'packet filter')
}

function interfaceIndex(name: string): number {
  const index = libc.if_nametoindex(name)
  if (index === 0) throw systemCallError('if_nametoindex', `interface ${JSON.stringify(name)}`, lastErrno())
  return index
}
