import { LINK_ADDRESS_BYTES, MAX_PACKET_BYTES, openCaptureSocket } from './capture-socket.ts'
import { MSG_DONTWAIT, PACKET_OUTGOING, PACKET_STATISTICS, SOL_PACKET } from './constants.ts'
import { LinuxError } from './errors.ts'
import { closeQuietly, lastErrno, libc } from './libc.ts'
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

/** Packets read before others get a turn on the event loop. */
const PACKETS_PER_TURN = 256
/** Payload held for iteration at most; what comes after is counted and dropped. */
const MAX_QUEUED_BYTES = 32 * 1024 * 1024
/** Packets without payload are not free either. */
const MAX_QUEUED_PACKETS = 65_536

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
    this.#fd = openCaptureSocket(options.namespace, options.interface)
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
