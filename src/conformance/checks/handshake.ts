import { once } from 'node:events'
import type { Socket } from 'node:net'
import { type Check, expect, pass } from '../check.ts'
import type { CheckContext } from '../context.ts'
import { CLIENT_PREFACE, FRAME, pingFrame, settingsFrame } from '../frames.ts'
import { SlowWriter } from '../slow-writer.ts'

/** From the first TCP segment to the first SETTINGS, done slowly, halfway or wrong. */
export const handshakeChecks: readonly Check[] = [
  {
    name: 'handshake/slow-client',
    title: 'serves a client whose handshake comes in small pieces',
    level: 'must',
    standsOn: 'RFC 9293 section 3.8 and RFC 8446 section 5.1: neither segments nor records are messages',
    explanation:
      'A ClientHello with a post-quantum key share does not fit into one segment. Parsers that expect it to, fail here.',
    run: async (context) => {
      const found = await context.attempt(
        { socket: new SlowWriter(context.tcp()) },
        context.target.identity.good,
      )
      return expect(found.kind === 'served', found.kind === 'served' ? 'served' : found.why)
    },
  },
  silent(
    'silent',
    'ends a connection on which nothing comes',
    'A client that says nothing must not hold a socket for ever.',
    () => [],
  ),
  silent(
    'half-open',
    'ends a connection that stops in the middle of the ClientHello',
    'The cheapest attack on a TLS server: a few bytes of handshake, and then silence.',
    () => [HALF_HELLO],
  ),
  {
    name: 'handshake/half-closed',
    title: 'ends a connection whose client gives up in the middle of the ClientHello',
    level: 'should',
    standsOn: 'RFC 8446 section 6.1: a FIN without close_notify ends the connection',
    explanation:
      'TCP may be half-open, TLS in its handshake cannot go on; a server that waits for more holds the socket for nothing.',
    run: async (context) => {
      const socket = await connected(context)
      socket.end(HALF_HELLO)
      const isOver = await ended(socket, FIN_MS)
      return expect(isOver, isOver ? 'ended' : `still open ${FIN_MS / 1000} s after our FIN`)
    },
  },
  {
    name: 'handshake/no-preface',
    title: 'ends a connection on which TLS is up and HTTP/2 never begins',
    level: 'ours',
    standsOn: 'ztunnel and Envoy: PING every 10 s, and 20 s for its answer',
    explanation:
      'A client that has proven itself and then falls silent must not hold a connection for ever, either.',
    patience: 35,
    run: async (context) => {
      const connection = await context.http2({ bytes: Buffer.alloc(0), ackPings: false, ackSettings: false })
      const gone = await connection.wait(() => connection.ended !== undefined, context.patienceMs)
      return expect(gone === true || connection.ended !== undefined, connection.describeEnd())
    },
  },
  {
    name: 'handshake/bad-preface',
    title: 'ends a connection that begins with HTTP/1.1',
    level: 'must',
    standsOn: 'RFC 9113 section 3.4: an invalid preface is a connection error',
    explanation: 'What follows cannot be framed, whatever it is.',
    run: async (context) => {
      const bytes = Buffer.from('GET / HTTP/1.1\r\nhost: conformance\r\n\r\n')
      const connection = await context.http2({ bytes })
      const broken = await connection.broken()
      return expect(broken, connection.describeEnd())
    },
  },
  {
    name: 'handshake/settings-first',
    title: 'its own first frame is SETTINGS',
    level: 'must',
    standsOn: 'RFC 9113 section 3.4',
    explanation: "The server's preface: peers treat anything else as a connection error.",
    run: async (context) => {
      const connection = await context.connected()
      const [first] = connection.frameTypes
      return expect(first === FRAME.SETTINGS, `frame type ${first}`)
    },
  },
  {
    name: 'handshake/frames-behind-the-preface',
    title: 'reads frames that come in one piece with the preface',
    level: 'must',
    standsOn: 'RFC 9113 section 3.4: a client need not wait for the SETTINGS of the server',
    explanation: 'ztunnel and Envoy send their first CONNECT before they have heard anything.',
    run: async (context) => {
      const payload = Buffer.from('together')
      const bytes = Buffer.concat([CLIENT_PREFACE, settingsFrame(), pingFrame(payload)])
      const connection = await context.http2({ bytes })
      await connection.until('PONG', () => connection.pongs.some((pong) => pong.equals(payload)))
      return pass()
    },
  },
]

function silent(name: string, title: string, explanation: string, bytes: () => readonly Buffer[]): Check {
  return {
    name: `handshake/${name}`,
    title,
    level: 'ours',
    standsOn: 'no RFC bounds it, and ztunnel waits for ever; we hold that it must be bounded',
    explanation,
    patience: 15,
    run: async (context) => {
      const socket = await connected(context)
      for (const piece of bytes()) socket.write(piece)
      const began = performance.now()
      const isOver = await ended(socket, context.patienceMs)
      return expect(
        isOver,
        isOver ? `after ${Math.round((performance.now() - began) / 1000)} s` : 'it stays open',
      )
    },
  }
}

async function connected(context: CheckContext): Promise<Socket> {
  const socket = context.tcp()
  if (socket.connecting) await once(socket, 'connect')
  return socket
}

function ended(socket: Socket, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), timeoutMs)
    const done = (): void => {
      clearTimeout(timer)
      resolve(true)
    }
    socket.once('end', done).once('close', done).resume()
  })
}

/** For a target that notices a FIN by itself, and not by a timer for handshakes, milliseconds. */
const FIN_MS = 8_000
/** A handshake record of 512 bytes, its type, version and length, and the first bytes of a ClientHello. */
const HALF_HELLO = Buffer.from('1603010200010001fc0303', 'hex')
