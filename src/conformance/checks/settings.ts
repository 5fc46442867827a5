import { type Check, expect, notApplicable, pass } from '../check.ts'
import { encodeFrame, LARGEST_WINDOW, SETTING, settingsFrame } from '../frames.ts'
import { content, openTunnel, sendAll } from '../tunnel.ts'

/** SETTINGS and PING: what each side tells the other about itself. */
export const settingsChecks: readonly Check[] = [
  {
    name: 'settings/acknowledged',
    title: 'acknowledges SETTINGS',
    level: 'must',
    standsOn: 'RFC 9113 section 6.5.3',
    explanation: 'Until then the sender may not count on its own limits, and may give the connection up.',
    run: async (context) => {
      const connection = await context.connected({ settings: { [SETTING.INITIAL_WINDOW_SIZE]: 1_000_000 } })
      await connection.until('ACK of our SETTINGS', () => connection.settingsAcks >= 1)
      connection.write(settingsFrame({ [SETTING.INITIAL_WINDOW_SIZE]: 2_000_000 }))
      await connection.until('ACK of our second SETTINGS', () => connection.settingsAcks >= 2)
      return pass()
    },
  },
  {
    name: 'settings/unknown-ignored',
    title: 'ignores settings and frame types that it does not know',
    level: 'must',
    standsOn: 'RFC 9113 sections 4.1 and 6.5.2',
    explanation: 'HTTP/2 grows by them; every browser sends some at random to keep servers honest.',
    run: async (context) => {
      const connection = await context.connected({ settings: { 2570: 1, 61680: LARGEST_WINDOW } })
      connection.write(encodeFrame({ type: 0xbb, flags: 0xff, payload: Buffer.from('grease') }))
      return expect(await connection.roundTrip(), connection.describeEnd())
    },
  },
  {
    name: 'settings/server-push',
    title: 'sends no setting that only a client may send',
    level: 'must',
    standsOn: 'RFC 9113 section 6.5.2: a server must not set ENABLE_PUSH to 1',
    explanation: 'A client must treat it as a connection error.',
    run: async (context) => {
      const connection = await context.connected()
      return expect((connection.settings.get(SETTING.ENABLE_PUSH) ?? 0) === 0, describe(connection.settings))
    },
  },
  {
    name: 'settings/stream-limit',
    title: 'allows at least 100 streams on a connection',
    level: 'should',
    standsOn: 'RFC 9113 section 5.1.2; Istio: sidecars and waypoints allow 100, ztunnel 200',
    explanation: 'A ztunnel puts 100 tunnels on a connection before it has seen this setting.',
    run: async (context) => {
      const connection = await context.connected()
      const limit = connection.settings.get(SETTING.MAX_CONCURRENT_STREAMS)
      return expect(limit === undefined || limit >= 100, `${limit ?? 'no limit'}`)
    },
  },
  {
    name: 'settings/as-ztunnel',
    title: "announces ztunnel's own values",
    level: 'ours',
    standsOn:
      'ztunnel, src/proxy/h2/server.rs: 4 MiB stream window, 1 MiB frames, 64 KiB header list, 200 streams',
    explanation: 'They make 3 Gbit/s over a round trip of 10 ms possible. Nothing breaks with others.',
    run: async (context) => {
      const { settings } = await context.connected()
      const isSame = [...AS_ZTUNNEL].every(([id, value]) => settings.get(id) === value)
      return expect(isSame, describe(settings))
    },
  },
  {
    name: 'settings/frame-size-honoured',
    title: 'sends no frame larger than we allow',
    level: 'must',
    standsOn: 'RFC 9113 sections 4.2 and 6.5.2',
    explanation: 'A larger one is a connection error: all tunnels of the connection would end.',
    needs: ['authority'],
    run: async (context) => {
      const connection = await context.connected()
      const stream = await openTunnel(connection, context.authority)
      await sendAll(connection, stream, Buffer.alloc(200_000, 7))
      await connection.until('200,000 bytes of echo', () => stream.receivedBytes >= 200_000)
      return expect(stream.largestFrame <= 16_384, `largest frame: ${stream.largestFrame} bytes`)
    },
  },
  {
    name: 'settings/header-table-honoured',
    title: 'compresses without a table when we allow none',
    level: 'must',
    standsOn: 'RFC 7541 section 4.2; RFC 9113 section 4.3.1',
    explanation:
      'A small client may have no memory for the table. Using it nonetheless is a connection error.',
    needs: ['authority'],
    run: async (context) => {
      const connection = await context.connected({ settings: { [SETTING.HEADER_TABLE_SIZE]: 0 } })
      await connection.until('ACK of our SETTINGS', () => connection.settingsAcks >= 1)
      const first = await openTunnel(connection, context.authority)
      const second = await openTunnel(connection, context.authority)
      return expect(first.status === 200 && second.status === 200, 'two answers read')
    },
  },
  {
    name: 'settings/header-limit-announced',
    title: 'says how large a header list may be',
    level: 'ours',
    standsOn: 'RFC 9113 section 6.5.2 (MAX_HEADER_LIST_SIZE, advisory)',
    explanation:
      'A client that knows the limit can leave out what does not fit, rather than lose the connection.',
    run: async (context) => {
      const connection = await context.connected()
      const limit = connection.settings.get(SETTING.MAX_HEADER_LIST_SIZE)
      return expect(limit !== undefined, limit === undefined ? 'no limit' : `${limit} bytes`)
    },
  },
  {
    name: 'ping/answered',
    title: 'answers PING with the same eight bytes',
    level: 'must',
    standsOn: 'RFC 9113 section 6.7',
    explanation:
      'ztunnel and Envoy ask every ten seconds whether the peer lives, and give it up after twenty.',
    run: async (context) => {
      const connection = await context.connected()
      for (let i = 0; i < 3; i++)
        if (!(await connection.roundTrip())) return expect(false, connection.describeEnd())
      return pass()
    },
  },
  {
    name: 'ping/beside-data',
    title: 'answers PING while a tunnel carries data',
    level: 'must',
    standsOn: 'RFC 9113 section 6.7: PING answers should have priority over any other frame',
    explanation: 'A busy connection must not look dead.',
    needs: ['authority'],
    run: async (context) => {
      const connection = await context.connected({ extraCredit: 10_000_000 })
      const stream = await openTunnel(connection, context.authority)
      const bytes = Buffer.alloc(1_000_000, 1)
      const sending = sendAll(connection, stream, bytes)
      const answered = await connection.roundTrip()
      await sending
      await connection.until('the echo', () => stream.receivedBytes >= bytes.length)
      return expect(answered && content(stream).equals(bytes), answered ? 'answered' : 'not answered')
    },
  },
  {
    name: 'ping/sent',
    title: 'sends PING by itself',
    level: 'should',
    standsOn: 'Istio: ztunnel and Envoy send one every 10 s',
    explanation: 'The only way to notice that the node of an idle peer is gone.',
    patience: 15,
    run: async (context) => {
      const connection = await context.connected()
      const began = performance.now()
      const seen = await connection.wait(() => connection.pings > 0, context.patienceMs)
      if (seen === true) return pass(`after ${Math.round((performance.now() - began) / 1000)} s`)
      return expect(false, `none in ${context.target.patience} s; ${connection.describeEnd()}`)
    },
  },
  {
    name: 'ping/dead-peer',
    title: 'ends a connection whose peer answers no PING',
    level: 'should',
    standsOn: 'Istio: ztunnel and Envoy after 20 s without an answer',
    explanation: 'Otherwise its tunnels, and the sockets of the application behind them, stay for ever.',
    patience: 35,
    run: async (context) => {
      const connection = await context.connected({ ackPings: false })
      await connection.wait(() => connection.ended !== undefined, context.patienceMs)
      if (connection.pings === 0 && connection.ended === undefined)
        return notApplicable('it sends no PING, or none within the time')
      return expect(connection.ended !== undefined, connection.describeEnd())
    },
  },
]

const AS_ZTUNNEL: ReadonlyMap<number, number> = new Map([
  [SETTING.INITIAL_WINDOW_SIZE, 4 * 1024 * 1024],
  [SETTING.MAX_FRAME_SIZE, 1024 * 1024],
  [SETTING.MAX_HEADER_LIST_SIZE, 65_536],
  [SETTING.MAX_CONCURRENT_STREAMS, 200],
])

const NAMES = new Map<number, string>(Object.entries(SETTING).map(([name, id]) => [id, name]))

function describe(settings: ReadonlyMap<number, number>): string {
  return Array.from(settings, ([id, value]) => `${NAMES.get(id) ?? id}=${value}`).join(' ')
}
