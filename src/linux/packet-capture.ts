import {
  AF_PACKET,
  ETH_P_ALL,
  MSG_DONTWAIT,
  PACKET_OUTGOING,
  PACKET_STATISTICS,
  SO_ATTACH_FILTER,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOL_PACKET,
  SOL_SOCKET,
} from './constants.ts'
import { LinuxError, systemCallError } from './errors.ts'
import { addressOf, check, closeQuietly, lastErrno, libc, setIntOption } from './libc.ts'
import { receiveMessage } from './message.ts'
import type { NetworkNamespace } from './netns.ts'
import { ReadinessWatcher } from './readiness.ts'
import { isTransient } from './seqpacket-socket.ts'
import { parseTcpSegment, type TcpSegment } from './tcp-segment.ts'

/** What to capture; see {@link capturePackets}. */
export interface CaptureOptions {
  readonly namespace: NetworkNamespace
  /** One interface, e.g. `eth0`; default all. */
  readonly interface?: string
  /** Given: called with each packet, and the capture cannot be iterated. It must not throw. */
  readonly onPacket?: (packet: CapturedPacket) => void
}

/** A TCP segment as seen on an interface. The payload is a copy. */
export interface CapturedPacket extends TcpSegment {
  readonly interfaceIndex: number
  /** Sent by this namespace, or received. On `lo` each packet is seen both ways. */
  readonly direction: 'in' | 'out'
}

/** Counts since the capture began. */
export interface CaptureStatistics {
  /** Delivered to the callback, or queued for iteration. */
  readonly packets: number
  /** Lost because the socket's buffer was full. */
  readonly droppedByKernel: number
  /** Lost because nobody iterated. */
  readonly droppedByQueue: number
}

/** A TCP packet that the kernel has not cut into segments is at most this large; longer ones are cut (snap length). */
const MAX_PACKET_BYTES = 65_535
/** Room for a burst while the event loop is busy: some 2,000 small packets or 100 large ones. */
const RECEIVE_BUFFER_BYTES = 16 * 1024 * 1024
/** Packets read before others get a turn on the event loop. */
const PACKETS_PER_TURN = 256
/** Payload held for iteration at most; what comes after is counted and dropped. */
const MAX_QUEUED_BYTES = 32 * 1024 * 1024
/** Packets without payload are not free either. */
const MAX_QUEUED_PACKETS = 65_536
/** `sizeof(struct sockaddr_ll)` is 20; the interface is at 4, the packet's type at 10. */
const LINK_ADDRESS_BYTES = 20

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
 * Captures the TCP traffic of a network namespace, without libpcap, to prove that something is or is not on a link.
 * Needs CAP_NET_RAW there. Throws LinuxError `system-call`, or `invalid-argument` for an unknown interface.
 */
export function capturePackets(options: CaptureOptions): PacketCapture {
  return new PacketCapture(options)
}

/** A running capture. Iterate it (once), or give `onPacket`; close it in the end. */
export class PacketCapture implements AsyncIterable<CapturedPacket> {
  readonly #fd: number
  readonly #watcher: ReadinessWatcher
  readonly #buffer = Buffer.alloc(MAX_PACKET_BYTES)
  readonly #onPacket: ((packet: CapturedPacket) => void) | undefined
  readonly #queue: CapturedPacket[] = []
  #queuedBytes = 0
  #open = true
  #wake: (() => void) | undefined
  #packets = 0
  #droppedByKernel = 0
  #droppedByQueue = 0

  constructor(options: CaptureOptions) {
    this.#onPacket = options.onPacket
    this.#fd = openCaptureSocket(options)
    this.#watcher = new ReadinessWatcher(this.#fd, () => this.#turn())
    this.#watcher.arm()
  }

  /**
   * Reads what the kernel holds now, so that everything that was on the link before this call has been delivered when
   * it returns: a test for the absence of something needs that.
   */
  drain(): void {
    while (this.#open && this.#readOne());
  }

  statistics(): CaptureStatistics {
    if (this.#open) this.#readKernelDrops()
    return {
      packets: this.#packets,
      droppedByKernel: this.#droppedByKernel,
      droppedByQueue: this.#droppedByQueue,
    }
  }

  /** Ends the capture; an iteration gets what is queued and ends. */
  close(): void {
    if (!this.#open) return
    this.#readKernelDrops()
    this.#open = false
    this.#watcher.close()
    closeQuietly(this.#fd)
    this.#wake?.()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<CapturedPacket, void, undefined> {
    if (this.#onPacket !== undefined) {
      throw new LinuxError('invalid-argument', 'this capture delivers to onPacket and cannot be iterated')
    }
    for (;;) {
      const packet = this.#queue.shift()
      if (packet !== undefined) {
        this.#queuedBytes -= packet.payload.length
        yield packet
      } else if (this.#open) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      } else return
    }
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #turn(): void {
    for (let count = 0; count < PACKETS_PER_TURN; count++) if (!this.#readOne()) break
    if (this.#open) this.#watcher.arm()
  }

  /** False when there is nothing to read. */
  #readOne(): boolean {
    const link = Buffer.alloc(LINK_ADDRESS_BYTES)
    const { length } = receiveMessage(this.#fd, this.#buffer, 0, MSG_DONTWAIT, link)
    if (length < 0) {
      const errno = lastErrno()
      // ENETDOWN (100): an interface went away. The capture lives on: with others, or in vain.
      if (isTransient(errno) || errno === 100) return false
      this.close()
      return false
    }
    const segment = parseTcpSegment(this.#buffer.subarray(0, length))
    if (segment !== undefined) this.#deliver(segment, link)
    return true
  }

  #deliver(segment: TcpSegment, link: Buffer): void {
    const packet: CapturedPacket = {
      ...segment,
      payload: Uint8Array.from(segment.payload),
      interfaceIndex: link.readInt32LE(4),
      direction: link[10] === PACKET_OUTGOING ? 'out' : 'in',
    }
    if (this.#onPacket !== undefined) {
      this.#packets++
      this.#onPacket(packet)
      return
    }
    const full =
      this.#queue.length >= MAX_QUEUED_PACKETS || this.#queuedBytes + packet.payload.length > MAX_QUEUED_BYTES
    if (full) {
      this.#droppedByQueue++
      return
    }
    this.#packets++
    this.#queue.push(packet)
    this.#queuedBytes += packet.payload.length
    this.#wake?.()
    this.#wake = undefined
  }

  /** `struct tpacket_stats`: packets, drops. Reading resets it. */
  #readKernelDrops(): void {
    const stats = Buffer.alloc(8)
    if (libc.getsockopt(this.#fd, SOL_PACKET, PACKET_STATISTICS, stats, [8]) === 0) {
      this.#droppedByKernel += stats.readUInt32LE(4)
    }
  }
}

function openCaptureSocket(options: CaptureOptions): number {
  return options.namespace.run(() => {
    const index = options.interface === undefined ? 0 : interfaceIndex(options.interface)
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
      check(
        libc.bind(fd, address, address.length),
        'bind',
        `packet capture on ${options.interface ?? 'all interfaces'}`,
      )
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
