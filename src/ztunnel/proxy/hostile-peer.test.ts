// A member of the mesh attacks one pod of a proxy process. What it can make the
// process hold is bounded, and the other pods' requests are answered meanwhile.
import { writeFileSync } from 'node:fs'
import { type ClientHttp2Stream, constants } from 'node:http2'
import type { Socket } from 'node:net'
import t, { type Test } from 'tap'
import {
  attackerSession,
  attackerTls,
  connectRequest,
  DEAF,
  ECHO,
  ENDLESS,
  eventually,
  MAX_CONNECTIONS,
  type Neighbourhood,
  neighbourhood,
} from './hostile-test-support.ts'

/** Generous for two busy cores; without an attack it is some milliseconds. */
const SLOWEST_MS = 3000
const MIB = 1024 * 1024
/** RFC 9113 section 3.4, with an empty SETTINGS. */
const PREFACE = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.from('000000040000000000', 'hex'),
])
/** SETTINGS_INITIAL_WINDOW_SIZE, and a WINDOW_UPDATE of the connection, of 2 GiB. */
const ENDLESS_CREDIT = Buffer.from(
  '000006040000000000' + '00047fffffff' + '000004080000000000' + '7fff0000',
  'hex',
)
const PING = Buffer.from(`000008060000000000${'00'.repeat(8)}`, 'hex')

t.test('a peer that stops reading costs a bounded amount of what is sent to it', async (t) => {
  const place = await neighbourhood(t, 'hp-read')
  const { apps } = place.victim
  const tls = await attackerTls(place)
  // All the credit that HTTP/2 can give, and then nobody takes the bytes off the socket.
  tls.pause()
  tls.write(Buffer.concat([PREFACE, ENDLESS_CREDIT, connectFrame(place, ENDLESS)]))
  await eventually('the application sends', () => apps.sent > 0)
  let before = -1
  while (apps.sent !== before) {
    before = apps.sent
    await answered(t, place.askNeighbour(20))
  }
  t.ok(apps.sent < 64 * MIB, `${apps.sent / MIB} MiB were taken from the application`)
  await answered(t, place.askVictim(5))
  await eventually('without an answer to PING it is cut, and the application let go', () => apps.open === 0)
  tls.destroy()
})

t.test('peers that say nothing, at any stage, are let go', async (t) => {
  const place = await neighbourhood(t, 'hp-slow')
  const silent: Socket[] = []
  for (let i = 0; i < 20; i++) silent.push(place.victim.dial().on('error', () => {}))
  // One byte of a TLS record, half a preface of HTTP/2, and a whole one with nothing after it.
  silent[0]?.once('connect', () => silent[0]?.write(Buffer.from([0x16])))
  const noPreface = await attackerTls(place)
  const halfPreface = await attackerTls(place)
  halfPreface.write(PREFACE.subarray(0, 16))
  const noPong = await attackerTls(place)
  noPong.write(PREFACE)
  const all = [...silent, noPreface, halfPreface, noPong]
  const closed = Promise.all(all.map((socket) => new Promise((resolve) => socket.once('close', resolve))))
  for (const socket of all) socket.resume().once('end', () => socket.destroy())
  await answered(t, place.askNeighbour(20))
  await closed
  t.pass('all were closed by the proxy')
  await answered(t, place.askVictim(5))
})

t.test('streams that are opened and never used come out of the attacked pod’s budget alone', async (t) => {
  const place = await neighbourhood(t, 'hp-idle')
  const { apps } = place.victim
  const sessions = await Promise.all([attackerSession(place), attackerSession(place)])
  const statuses: number[] = []
  const streams: ClientHttp2Stream[] = sessions.flatMap((session) =>
    Array.from({ length: 100 }, () => {
      const stream = session.request(connectRequest(place, ECHO), { endStream: false })
      stream.on('error', () => {})
      return stream.on('response', (headers) => void statuses.push(Number(headers[':status'])))
    }),
  )
  await eventually('every stream is answered', () => statuses.length === streams.length)
  const accepted = statuses.filter((status) => status === 200).length
  t.ok(accepted > 0 && accepted <= MAX_CONNECTIONS, `${accepted} accepted`)
  t.equal(statuses.filter((status) => status === 503).length, streams.length - accepted)
  await eventually('the application has them', () => apps.open >= accepted)
  t.ok(apps.open <= MAX_CONNECTIONS, `${apps.open} connections to the application`)
  t.match(place.log.join(''), `too many connections: ${MAX_CONNECTIONS} of this workload are open`)
  await answered(t, place.askNeighbour(20))
  for (const session of sessions) session.destroy()
  await eventually('the application is let go', () => apps.open === 0)
  await untilAnswered(place)
})

t.test('connections beyond the budget are closed at once, and it comes back', async (t) => {
  const place = await neighbourhood(t, 'hp-conn')
  const sockets = Array.from({ length: MAX_CONNECTIONS * 3 }, () => place.victim.dial())
  let closed = 0
  for (const socket of sockets) {
    socket.on('error', () => {}).resume()
    socket.once('end', () => socket.destroy()).once('close', () => void closed++)
  }
  await eventually('those beyond it are closed', () => closed >= MAX_CONNECTIONS * 2)
  await answered(t, place.askNeighbour(20))
  for (const socket of sockets) socket.destroy()
  await untilAnswered(place)
})

t.test('streams opened and reset as fast as possible leave nothing behind', async (t) => {
  const place = await neighbourhood(t, 'hp-reset')
  const session = await attackerSession(place)
  const attack = async (): Promise<void> => {
    for (let i = 0; i < 6000 && !session.closed && !session.destroyed; i++) {
      const stream = session.request(connectRequest(place, ECHO), { endStream: false })
      stream.on('error', () => {})
      stream.close(constants.NGHTTP2_CANCEL)
      if (i % 50 === 0) await new Promise(setImmediate)
    }
  }
  await Promise.all([attack(), answered(t, place.askNeighbour(20))])
  session.destroy()
  await eventually('the application is let go', () => place.victim.apps.open === 0)
  await untilAnswered(place)
})

t.test('a tunnel that is reset keeps its place while its application has yet to read', async (t) => {
  const place = await neighbourhood(t, 'hp-deaf')
  const session = await attackerSession(place)
  // More than the kernel takes, so that the rest waits in the proxy.
  place.victim.pair.pod.run(() => {
    for (const name of ['tcp_wmem', 'tcp_rmem'])
      writeFileSync(`/proc/sys/net/ipv4/${name}`, '4096 65536 65536')
  })
  const unread = Buffer.alloc(2 * MIB)
  const abandon = (): Promise<number> =>
    new Promise((resolve) => {
      const stream = session.request(connectRequest(place, DEAF), { endStream: false })
      stream.on('error', () => {})
      stream.once('response', (headers) => {
        const status = Number(headers[':status'])
        if (status !== 200) return resolve(status)
        stream.write(unread, () => stream.close(constants.NGHTTP2_CANCEL, () => resolve(status)))
      })
    })
  const statuses: number[] = []
  for (let i = 0; i < MAX_CONNECTIONS + 20; i++) statuses.push(await abandon())
  const accepted = statuses.filter((status) => status === 200).length
  t.ok(accepted > 0 && accepted <= MAX_CONNECTIONS, `${accepted} accepted`)
  t.equal(statuses.at(-1), 503)
  t.ok(place.victim.apps.open <= MAX_CONNECTIONS, `${place.victim.apps.open} connections of the application`)
  await answered(t, place.askNeighbour(20))
})

t.test('a flood of PINGs from a peer that reads no answer ends the connection', async (t) => {
  const place = await neighbourhood(t, 'hp-ping')
  const tls = await attackerTls(place)
  tls.write(PREFACE)
  const flood = Buffer.concat(Array.from({ length: 1000 }, () => PING))
  const closed = new Promise((resolve) => tls.once('close', resolve))
  let sent = 0
  const send = (): void => {
    sent += 1000
    if (!tls.destroyed && sent < 2_000_000) tls.write(flood, (error) => error ?? setImmediate(send))
  }
  send()
  await answered(t, place.askNeighbour(20))
  await closed
  t.ok(sent < 2_000_000, `after ${sent} PINGs`)
  await answered(t, place.askVictim(5))
})

async function answered(t: Test, slowest: Promise<number>): Promise<void> {
  const ms = Math.round(await slowest)
  t.ok(ms < SLOWEST_MS, `answered, the slowest in ${ms} ms`)
}

/** HEADERS of a CONNECT on stream 1: HPACK literals of the names that the static table has. */
function connectFrame({ victim }: Neighbourhood, port: number): Buffer {
  const literal = (index: number, value: string): Buffer =>
    Buffer.concat([Buffer.from([index, value.length]), Buffer.from(value)])
  const block = Buffer.concat([literal(2, 'CONNECT'), literal(1, `${victim.pair.podAddress}:${port}`)])
  return Buffer.concat([Buffer.from([0, 0, block.length, 1, 4, 0, 0, 0, 1]), block])
}

/** The budget comes back as the proxy hears of the ends. */
async function untilAnswered({ askVictim }: Neighbourhood): Promise<void> {
  const end = performance.now() + 20_000
  const asked = (): Promise<boolean> =>
    askVictim(1).then(
      () => true,
      () => false,
    )
  while (!(await asked())) {
    if (performance.now() > end) throw new Error('the victim does not answer any more')
  }
}
