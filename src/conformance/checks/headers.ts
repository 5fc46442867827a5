import { type Check, expect, pass } from '../check.ts'
import { encodeFrame, FLAG, FRAME, SETTING, uint32 } from '../frames.ts'
import { encodeFields, type Fields } from '../hpack.ts'
import { answer, connectFields, describeAnswer, isRefusal, openTunnel, request } from '../tunnel.ts'

/** Header blocks: large, in pieces, padded. */
export const headerChecks: readonly Check[] = [
  {
    name: 'headers/8-kib',
    title: 'accepts a request with 8 KiB of header fields',
    level: 'must',
    standsOn: 'RFC 9110 section 4.1 (8,000 octets at the least); Istio: baggage has no bound of its own',
    explanation: 'Long pod names, label values and a trace or two add up.',
    needs: ['authority'],
    run: async (context) => {
      const connection = await context.connected()
      await openTunnel(connection, context.authority, [['baggage', `k8s.pod.name=${'p'.repeat(8000)}`]])
      return pass()
    },
  },
  {
    name: 'headers/32-kib',
    title: 'accepts a request with 32 KiB of header fields, in HEADERS and CONTINUATIONs',
    level: 'should',
    standsOn: 'ztunnel and Envoy accept 60 KiB and more; RFC 9113 section 4.3',
    explanation:
      'A gateway passes on what its own client sent. What is more than a frame comes in CONTINUATIONs.',
    needs: ['authority'],
    run: async (context) => {
      const connection = await context.connected()
      const fields = connectFields(context.authority, [['baggage', `k8s.pod.name=${'p'.repeat(32_000)}`]])
      const streamId = connection.newStreamId()
      connection.write(...inPieces(streamId, encodeFields(fields), 10_000))
      const found = await answer(connection, connection.stream(streamId))
      return expect(found.kind === 'status' && found.status === 200, describeAnswer(connection, found))
    },
  },
  {
    name: 'headers/above-the-limit',
    title: 'refuses a header list twice as large as it allows',
    level: 'must',
    standsOn: 'RFC 9113 sections 6.5.2 and 10.5.1; RFC 6585 section 5 (431)',
    explanation: 'What a peer can make a proxy hold must have a bound, and the bound must be kept.',
    needs: ['authority'],
    run: async (context) => {
      const connection = await context.connected()
      const limit = connection.settings.get(SETTING.MAX_HEADER_LIST_SIZE) ?? UNANNOUNCED_LIMIT
      const value = 'p'.repeat(8_000)
      const count = Math.ceil((2 * limit) / value.length)
      const more: Fields = Array.from({ length: count }, (_, i) => [`x-large-${i}`, value] as const)
      const streamId = connection.newStreamId()
      connection.write(...inPieces(streamId, encodeFields(connectFields(context.authority, more)), 16_384))
      const found = await answer(connection, connection.stream(streamId))
      return expect(isRefusal(found), `${2 * limit} bytes: ${describeAnswer(connection, found)}`)
    },
  },
  {
    name: 'headers/many-fields',
    title: 'refuses a request with a thousand fields',
    level: 'ours',
    standsOn: 'Envoy: 100 fields at the most; we: 128',
    explanation: 'Small fields cost far more memory than bytes on the wire.',
    needs: ['authority'],
    run: async (context) => {
      const connection = await context.connected()
      const more: Fields = Array.from({ length: 1000 }, (_, i) => [`x-${i}`, 'v'] as const)
      const found = await answer(connection, request(connection, connectFields(context.authority, more)))
      return expect(isRefusal(found), describeAnswer(connection, found))
    },
  },
  {
    name: 'headers/padded-and-prioritized',
    title: 'reads HEADERS with padding and priority',
    level: 'must',
    standsOn: 'RFC 9113 section 6.2',
    explanation: 'Both are legal, the second from the days of RFC 7540, and old clients send it.',
    needs: ['authority'],
    run: async (context) => {
      const connection = await context.connected()
      const streamId = connection.newStreamId()
      const block = encodeFields(connectFields(context.authority))
      const payload = Buffer.concat([Buffer.from([9]), uint32(0), Buffer.from([15]), block, Buffer.alloc(9)])
      const flags = FLAG.END_HEADERS | FLAG.PADDED | FLAG.PRIORITY
      connection.write(encodeFrame({ type: FRAME.HEADERS, flags, streamId, payload }))
      const found = await answer(connection, connection.stream(streamId))
      return expect(found.kind === 'status' && found.status === 200, describeAnswer(connection, found))
    },
  },
]

function inPieces(streamId: number, block: Buffer, size: number): readonly Buffer[] {
  const frames: Buffer[] = []
  for (let at = 0; at < block.length; at += size) {
    const type = at === 0 ? FRAME.HEADERS : FRAME.CONTINUATION
    const flags = at + size >= block.length ? FLAG.END_HEADERS : 0
    frames.push(encodeFrame({ type, flags, streamId, payload: block.subarray(at, at + size) }))
  }
  return frames
}

/** Of a target that announces none, bytes: four times what ztunnel allows. */
const UNANNOUNCED_LIMIT = 256 * 1024
