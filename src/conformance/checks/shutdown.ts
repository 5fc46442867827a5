import { type Check, expect, fail } from '../check.ts'
import type { Http2Connection } from '../connection.ts'
import { dataFrame, errorCode, errorName, goawayFrame, LARGEST_WINDOW } from '../frames.ts'
import { connectFields, content, openTunnel, request } from '../tunnel.ts'

/** GOAWAY, ours and the target's. */
export const shutdownChecks: readonly Check[] = [
  {
    name: 'shutdown/goaway-by-the-client',
    title: 'goes on with open tunnels after GOAWAY of the client',
    level: 'must',
    standsOn: 'RFC 9113 section 6.8: GOAWAY is about new streams',
    explanation: 'A client that drains says so; what it has open must end by itself.',
    needs: ['authority'],
    run: async (context) => {
      const connection = await context.connected()
      const stream = await openTunnel(connection, context.authority)
      connection.write(goawayFrame(0, 'NO_ERROR'))
      connection.write(dataFrame(stream.id, Buffer.from('after goaway'), true))
      await connection.until('echo and END_STREAM', () => stream.ended || stream.reset !== undefined)
      return expect(String(content(stream)) === 'after goaway', String(content(stream)))
    },
  },
  {
    name: 'shutdown/end-of-the-client',
    title: 'closes the TCP connection after GOAWAY, when no stream is left',
    level: 'ours',
    standsOn: 'RFC 9113 section 6.8',
    explanation: 'Nothing can happen on the connection any more.',
    run: async (context) => {
      const connection = await context.connected()
      connection.write(goawayFrame(0, 'NO_ERROR'))
      const isOver = await connection.wait(() => connection.ended !== undefined, CLOSE_MS)
      return expect(isOver === true || connection.ended !== undefined, connection.describeEnd())
    },
  },
  {
    name: 'shutdown/drain',
    title: 'draining: GOAWAY(NO_ERROR), and open tunnels go on until they end',
    level: 'must',
    standsOn: 'RFC 9113 section 6.8; Istio: a drained ztunnel waits for its connections',
    explanation: 'A roll-out of the proxy must not be seen by the applications.',
    needs: ['authority', 'drain'],
    last: true,
    run: async (context) => {
      const connection = await context.connected()
      const stream = await openTunnel(connection, context.authority)
      await context.target.drain?.()
      await goaway(connection, context.authority)
      connection.write(dataFrame(stream.id, Buffer.from('still here'), true))
      await connection.wait(() => stream.ended || stream.reset !== undefined)
      if (String(content(stream)) !== 'still here')
        return fail(`${connection.describeEnd()}; the tunnel was cut`)
      await connection.wait(() => connection.ended !== undefined)
      const first = connection.goaways[0]
      const isClean = connection.goaways.every(({ code }) => code === errorCode('NO_ERROR'))
      const steps = connection.goaways.map(
        ({ lastStreamId, code }) =>
          `${errorName(code)} ${lastStreamId === LARGEST_WINDOW ? '2³¹−1' : lastStreamId}`,
      )
      const isGraceful = first !== undefined && first.lastStreamId >= stream.id
      return expect(isClean && isGraceful, `GOAWAY ${steps.join(', then ')}`)
    },
  },
]

/** Goes on asking for tunnels until the GOAWAY: Envoy says it with its next answer, and not before. */
async function goaway(connection: Http2Connection, authority: string): Promise<void> {
  const end = performance.now() + DRAIN_MS
  const isSaid = (): boolean => connection.goaways.length > 0
  while (performance.now() < end && connection.ended === undefined) {
    if ((await connection.wait(isSaid, ASK_AGAIN_MS)) === true) return
    request(connection, connectFields(authority), { endStream: true })
  }
  await connection.until('GOAWAY', isSaid, 1)
}

/** For a target that has nothing left to do, milliseconds. */
const CLOSE_MS = 5_000
/** From the command to the GOAWAY, milliseconds. Envoy spreads it over its drain time. */
const DRAIN_MS = 15_000
/** For a target that says it by itself, milliseconds. */
const ASK_AGAIN_MS = 500
