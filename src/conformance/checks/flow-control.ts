import { type Check, expect, pass } from '../check.ts'
import {
  DEFAULT_WINDOW,
  dataFrame,
  errorCode,
  errorName,
  LARGEST_WINDOW,
  SETTING,
  settingsFrame,
  windowUpdateFrame,
} from '../frames.ts'
import { describeStream } from '../stream.ts'
import { openTunnel, sendAll } from '../tunnel.ts'

/** Windows: ours are kept to, its own hold back, and neither can be overrun. */
export const flowControlChecks: readonly Check[] = [
  {
    name: 'flow-control/stream-window',
    title: 'sends no more on a stream than its window has room for, and goes on with more room',
    level: 'must',
    standsOn: 'RFC 9113 sections 6.9 and 6.9.1',
    explanation: 'The window is all that protects a slow client from a fast server.',
    needs: ['authority'],
    run: async (context) => {
      const settings = { [SETTING.INITIAL_WINDOW_SIZE]: 1000 }
      const connection = await context.connected({ settings, giveCredit: false })
      const stream = await openTunnel(connection, context.authority)
      connection.write(dataFrame(stream.id, Buffer.alloc(5000, 1)))
      await connection.until('1000 bytes', () => stream.receivedBytes >= 1000)
      await connection.roundTrip()
      if (stream.receivedBytes > 1000)
        return expect(false, `${stream.receivedBytes} bytes for a window of 1000`)
      connection.write(windowUpdateFrame(stream.id, 4000))
      await connection.until('the other 4000 bytes', () => stream.receivedBytes >= 5000)
      return expect(stream.receivedBytes === 5000, describeStream(stream))
    },
  },
  {
    name: 'flow-control/connection-window',
    title: 'sends no more on all streams together than the connection has room for',
    level: 'must',
    standsOn: 'RFC 9113 section 6.9.1',
    explanation: 'The second of the two windows, and the one that is forgotten.',
    needs: ['authority'],
    run: async (context) => {
      const settings = { [SETTING.INITIAL_WINDOW_SIZE]: 1_000_000 }
      const connection = await context.connected({ settings, giveCredit: false })
      const streams = [
        await openTunnel(connection, context.authority),
        await openTunnel(connection, context.authority),
      ]
      for (const stream of streams) await sendAll(connection, stream, Buffer.alloc(50_000, 1))
      const total = (): number => streams.reduce((sum, { receivedBytes }) => sum + receivedBytes, 0)
      await connection.until('65,535 bytes', () => total() >= DEFAULT_WINDOW)
      await connection.roundTrip()
      if (total() > DEFAULT_WINDOW) return expect(false, `${total()} bytes for a window of ${DEFAULT_WINDOW}`)
      connection.write(windowUpdateFrame(0, 100_000))
      await connection.until('the rest', () => total() >= 100_000)
      return pass()
    },
  },
  {
    name: 'flow-control/window-shrinks',
    title: 'applies a new initial window to open streams, below zero too',
    level: 'must',
    standsOn: 'RFC 9113 section 6.9.2',
    explanation: 'A client under memory pressure shrinks all its windows by one SETTINGS.',
    needs: ['authority'],
    run: async (context) => {
      const settings = { [SETTING.INITIAL_WINDOW_SIZE]: 20_000 }
      const connection = await context.connected({ settings, giveCredit: false })
      const stream = await openTunnel(connection, context.authority)
      connection.write(dataFrame(stream.id, Buffer.alloc(10_000, 1)))
      await connection.until('10,000 bytes', () => stream.receivedBytes >= 10_000)
      const acks = connection.settingsAcks
      // 10,000 were left; now the window is 5,000 below zero.
      connection.write(settingsFrame({ [SETTING.INITIAL_WINDOW_SIZE]: 5000 }))
      await connection.until('ACK', () => connection.settingsAcks > acks)
      connection.write(dataFrame(stream.id, Buffer.alloc(3000, 2)), windowUpdateFrame(stream.id, 5000))
      await connection.roundTrip()
      if (stream.receivedBytes > 10_000)
        return expect(false, `${stream.receivedBytes - 10_000} bytes for a window of 0`)
      connection.write(windowUpdateFrame(stream.id, 3000))
      await connection.until('3000 bytes more', () => stream.receivedBytes >= 13_000)
      return pass()
    },
  },
  {
    name: 'flow-control/stalled-stream',
    title: 'one stream that nobody reads does not stop the others',
    level: 'must',
    standsOn: 'RFC 9113 section 5.2.1; Istio: all tunnels to a workload share a connection',
    explanation: 'Otherwise one paused download stops everything between two nodes.',
    needs: ['authority'],
    run: async (context) => {
      const settings = { [SETTING.INITIAL_WINDOW_SIZE]: 10_000 }
      const connection = await context.connected({ settings, giveCredit: false, extraCredit: 10_000_000 })
      const stalled = await openTunnel(connection, context.authority)
      await sendAll(connection, stalled, Buffer.alloc(60_000, 1))
      await connection.until('10,000 bytes', () => stalled.receivedBytes >= 10_000)
      const other = await openTunnel(connection, context.authority)
      connection.write(dataFrame(other.id, Buffer.from('me too'), true))
      await connection.until('echo on another stream', () => other.ended && other.receivedBytes === 6)
      return expect(stalled.receivedBytes === 10_000, describeStream(stalled))
    },
  },
  {
    name: 'flow-control/back-pressure',
    title: 'takes a bounded amount for an application that does not read',
    level: 'must',
    standsOn: 'RFC 9113 section 5.2.2; ztunnel gives credit when the application has taken the bytes',
    explanation: 'Credit given without end is memory taken without end, by any client that is let in.',
    needs: ['authority', 'application'],
    run: async (context) => {
      const connection = await context.connected()
      const { stream, app } = await context.pair(connection)
      app.socket.pause()
      const piece = Buffer.alloc(16_384, 1)
      let sent = 0
      while (sent < BOUND_BYTES) {
        const credit = await connection.wait(() => connection.spend(stream.id, piece.length), STALL_MS)
        if (credit === undefined) break
        connection.write(dataFrame(stream.id, piece))
        sent += piece.length
        // Let its frames in.
        if (sent % (64 * piece.length) === 0) await connection.roundTrip()
      }
      if (connection.ended !== undefined) return expect(false, connection.describeEnd())
      const seen = `${(sent / 1024 / 1024).toFixed(1)} MiB taken`
      return expect(sent < BOUND_BYTES, sent < BOUND_BYTES ? seen : `${seen}, and no end`)
    },
  },
  {
    name: 'flow-control/overrun',
    title: 'refuses DATA beyond its window',
    level: 'should',
    standsOn: 'RFC 9113 section 6.9.1: FLOW_CONTROL_ERROR',
    explanation: 'A window that is not enforced bounds honest clients only.',
    needs: ['authority', 'application'],
    run: async (context) => {
      const connection = await context.connected()
      const { stream, app } = await context.pair(connection)
      app.socket.pause()
      const piece = Buffer.alloc(16_384, 1)
      let sent = 0
      const isOver = (): boolean =>
        stream.reset !== undefined || connection.goaways.length > 0 || connection.ended !== undefined
      while (!isOver() && sent < BOUND_BYTES) {
        connection.write(
          ...Array.from({ length: 64 }, () => piece).map((bytes) => dataFrame(stream.id, bytes)),
        )
        sent += 64 * piece.length
        await connection.roundTrip()
      }
      const how =
        stream.reset === undefined ? connection.describeEnd() : `RST_STREAM(${errorName(stream.reset)})`
      return expect(isOver(), `after ${(sent / 1024 / 1024).toFixed(1)} MiB: ${how}`)
    },
  },
  {
    name: 'flow-control/stream-overflow',
    title: 'treats credit for a stream beyond 2³¹−1 bytes as an error of that stream',
    level: 'must',
    standsOn: 'RFC 9113 section 6.9.1: RST_STREAM(FLOW_CONTROL_ERROR)',
    explanation: 'A counter that wraps around gives a window of its own choosing.',
    needs: ['authority'],
    run: (context) => wrongCredit(context, LARGEST_WINDOW, 'FLOW_CONTROL_ERROR'),
  },
  {
    name: 'flow-control/zero-credit',
    title: 'treats credit of 0 for a stream as an error of that stream',
    level: 'must',
    standsOn: 'RFC 9113 section 6.9: PROTOCOL_ERROR',
    explanation: 'It says nothing, costs work, and is nearly always a bug of the sender.',
    needs: ['authority'],
    run: (context) => wrongCredit(context, 0, 'PROTOCOL_ERROR'),
  },
]

/** A stream error; a target may end the connection for it (RFC 9113 section 5.4.1). */
async function wrongCredit(
  context: Parameters<Check['run']>[0],
  increment: number,
  code: 'FLOW_CONTROL_ERROR' | 'PROTOCOL_ERROR',
) {
  const connection = await context.connected()
  const stream = await openTunnel(connection, context.authority)
  connection.write(windowUpdateFrame(stream.id, increment))
  await connection.wait(() => stream.reset !== undefined || connection.goaways.length > 0)
  if (stream.reset !== undefined)
    return expect(stream.reset === errorCode(code), `RST_STREAM(${errorName(stream.reset)})`)
  const isBroken = connection.ended !== undefined || connection.goaways.length > 0
  return expect(isBroken, connection.describeEnd())
}

/** What a target may take for one tunnel, bytes: four times the connection window of ztunnel. */
const BOUND_BYTES = 64 * 1024 * 1024
/** Without credit for so long, none will come, milliseconds. */
const STALL_MS = 1_500
