import { type Check, expect, fail, notApplicable, pass } from '../check.ts'
import { describeStreams } from '../connection.ts'
import type { CheckContext } from '../context.ts'
import { dataFrame, errorCode, errorName, resetFrame, SETTING } from '../frames.ts'
import { connectFields, openTunnel, request } from '../tunnel.ts'

/** Many tunnels on one connection. */
export const streamChecks: readonly Check[] = [
  many(100, 'must', 'RFC 9113 section 5.1.2; Istio: a ztunnel puts 100 on one connection'),
  many(200, 'ours', 'ztunnel: 200 streams for a client on one connection'),
  {
    name: 'streams/above-the-limit',
    title: 'serves no stream above its limit',
    level: 'must',
    standsOn: 'RFC 9113 section 5.1.2',
    explanation: 'A limit that is not kept protects nothing.',
    needs: ['authority'],
    run: async (context) => {
      const full = await fill(context)
      if (full === undefined) return notApplicable(NO_LIMIT)
      const { connection, above } = full
      return expect(
        above.status !== 200,
        above.reset === undefined ? connection.describeEnd() : errorName(above.reset),
      )
    },
  },
  {
    name: 'streams/above-the-limit-others',
    title: 'refuses the stream above its limit alone, and goes on with the others',
    level: 'should',
    standsOn:
      'RFC 9113 section 5.1.2: a stream error, REFUSED_STREAM or PROTOCOL_ERROR; section 5.4.1 allows to end all',
    explanation: 'REFUSED_STREAM tells the client that nothing was done, so that it may try again elsewhere.',
    needs: ['authority'],
    run: async (context) => {
      const full = await fill(context)
      if (full === undefined) return notApplicable(NO_LIMIT)
      const { connection, first, above } = full
      connection.write(dataFrame(first.id, Buffer.from('first')))
      await connection.until('echo on the first stream', () => first.receivedBytes >= 5)
      const isRefused = REFUSALS.has(above.reset ?? -1)
      return expect(isRefused, above.reset === undefined ? `status ${above.status}` : errorName(above.reset))
    },
  },
  {
    name: 'streams/number-decreasing',
    title: 'serves no stream with a lower number than the one before',
    level: 'must',
    standsOn: 'RFC 9113 section 5.1.1: PROTOCOL_ERROR of the connection',
    explanation:
      'Numbers only rise, so that each names one stream for ever. (nghttp2 ignores such a request and goes on.)',
    run: async (context) => {
      const connection = await context.connected()
      request(connection, connectFields('192.0.2.1:80'), { streamId: 5 })
      const lower = request(connection, connectFields('192.0.2.1:80'), { streamId: 3 })
      const goesOn = await connection.roundTrip()
      const isServed = lower.status !== undefined
      if (isServed) return fail(`status ${lower.status}`)
      return pass(goesOn ? 'ignored' : connection.describeEnd())
    },
  },
  {
    name: 'streams/one-after-another',
    title: 'serves 300 tunnels one after another on one connection',
    level: 'must',
    standsOn: 'RFC 9113 section 5.1.2: closed streams do not count',
    explanation: 'A connection of the mesh lives for days. What is not given back adds up.',
    needs: ['authority'],
    run: async (context) => {
      const connection = await context.connected()
      for (let i = 0; i < 300; i++) {
        const stream = await openTunnel(connection, context.authority)
        // Three ways to end, in turn.
        if (i % 3 === 0) connection.write(resetFrame(stream.id, 'CANCEL'))
        else connection.write(dataFrame(stream.id, Buffer.alloc(i % 3), true))
        if (i % 3 !== 0)
          await connection.until('END_STREAM', () => stream.ended || stream.reset !== undefined)
      }
      return pass()
    },
  },
  {
    name: 'streams/refused-beside-served',
    title: 'a refused CONNECT leaves the other tunnels alone',
    level: 'must',
    standsOn: 'RFC 9113 section 5.4.2',
    explanation: 'One pod with a wrong address must not cut everything that its node has open.',
    needs: ['authority'],
    run: async (context) => {
      const connection = await context.connected()
      const stream = await openTunnel(connection, context.authority)
      const bad = request(connection, connectFields('192.0.2.1:80'))
      await connection.until('an answer', () => bad.status !== undefined || bad.reset !== undefined)
      connection.write(dataFrame(stream.id, Buffer.from('still here')))
      await connection.until('echo', () => stream.receivedBytes >= 10)
      return pass()
    },
  },
]

/** As many tunnels as the target allows, and one more; undefined when there is no limit that the kit can reach. */
async function fill(context: CheckContext) {
  const connection = await context.connected()
  const limit = connection.settings.get(SETTING.MAX_CONCURRENT_STREAMS) ?? Number.POSITIVE_INFINITY
  if (limit > MAX_STREAMS) return undefined
  const streams = Array.from({ length: limit }, () => request(connection, connectFields(context.authority)))
  await connection.until(
    `${limit} tunnels`,
    () => streams.every(({ status }) => status === 200),
    MANY_TIMEOUT_MS,
  )
  const above = request(connection, connectFields(context.authority))
  await connection.wait(
    () => above.reset !== undefined || above.status !== undefined || connection.goaways.length > 0,
  )
  const [first = above] = streams
  return { connection, first, above }
}

function many(count: number, level: Check['level'], standsOn: string): Check {
  return {
    name: `streams/${count}`,
    title: `serves ${count} tunnels at once on one connection`,
    level,
    standsOn,
    explanation: 'A node has one connection to each workload, for all the clients of one identity.',
    needs: ['authority'],
    run: (context) => openMany(context, count),
  }
}

async function openMany(context: CheckContext, count: number) {
  const connection = await context.connected({ extraCredit: 1_000_000 })
  const limit = connection.settings.get(SETTING.MAX_CONCURRENT_STREAMS) ?? count
  if (limit < count) return fail(`its limit is ${limit}`)
  const streams = Array.from({ length: count }, () => request(connection, connectFields(context.authority)))
  const answered = () => streams.every(({ status, reset }) => status !== undefined || reset !== undefined)
  await connection.wait(answered, MANY_TIMEOUT_MS)
  if (!streams.every(({ status }) => status === 200)) return fail(describeStreams(streams))
  connection.write(...streams.map(({ id }) => dataFrame(id, Buffer.from(`tunnel ${id}`), true)))
  await connection.wait(() => streams.every(({ ended }) => ended), MANY_TIMEOUT_MS)
  const right = streams.filter(({ id, received }) => String(Buffer.concat(received)) === `tunnel ${id}`)
  return expect(right.length === count, right.length === count ? 'all of them' : describeStreams(streams))
}

const REFUSALS: ReadonlySet<number> = new Set([errorCode('REFUSED_STREAM'), errorCode('PROTOCOL_ERROR')])
/** More streams than that the kit does not open. */
const MAX_STREAMS = 1_000
const NO_LIMIT = `it announces no limit, or one above the ${MAX_STREAMS} streams that the kit opens`
/** Each tunnel is a connection to the application, milliseconds. */
const MANY_TIMEOUT_MS = 20_000
