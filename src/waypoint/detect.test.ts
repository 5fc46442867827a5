import { Duplex } from 'node:stream'
import t from 'tap'
import { detectProtocol } from './detect.ts'

const NEVER = new AbortController().signal

/** Two ends of a stream: what is written to one is read from the other. */
function pair(): [Duplex, Duplex] {
  const ends: Duplex[] = []
  const make = (other: () => Duplex | undefined): Duplex =>
    new Duplex({
      read() {},
      write(chunk, _encoding, done) {
        other()?.push(chunk)
        done()
      },
      final(done) {
        other()?.push(null)
        done()
      },
    })
  ends.push(
    make(() => ends[1]),
    make(() => ends[0]),
  )
  return ends as [Duplex, Duplex]
}

async function rest(stream: Duplex): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += String(chunk)
  return text
}

const noDial = () => undefined

t.test('the first bytes tell, in whatever pieces they come, and stay in the stream', async (t) => {
  for (const [kind, text] of [
    ['http', 'GET / HTTP/1.1\r\nhost: a\r\n\r\n'],
    ['http', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['tcp', '*1\r\n$4\r\nPING\r\n'],
    ['tcp', 'EHLO me\r\n'],
  ] as const) {
    for (const size of [1, 3, 1000]) {
      const [near, far] = pair()
      const found = detectProtocol(near, { dial: noDial, signal: NEVER })
      for (let i = 0; i < text.length; i += size) {
        far.write(text.slice(i, i + size))
        await new Promise(setImmediate)
      }
      t.equal((await found).kind, kind, `${JSON.stringify(text)} in pieces of ${size}`)
      far.end()
      t.equal(await rest(near), text)
    }
  }
})

t.test('a client that is silent: the server’s first byte decides', async (t) => {
  const [near] = pair()
  const [upstream, server] = pair()
  const found = detectProtocol(near, { dial: async () => upstream, signal: NEVER, silenceMs: 1 })
  server.write('220 hello')
  const detected = await found
  t.match(detected, { kind: 'tcp' })
  t.equal(detected.kind === 'tcp' ? detected.upstream : undefined, upstream)
})

t.test('a client that takes its time is still heard, and the upstream let go', async (t) => {
  const [near, far] = pair()
  const [upstream] = pair()
  const dialled = Promise.withResolvers<void>()
  const dial = async (): Promise<Duplex> => {
    setImmediate(dialled.resolve)
    return upstream
  }
  const found = detectProtocol(near, { dial, signal: NEVER, silenceMs: 1 })
  await dialled.promise
  far.write('GET / HTTP/1.1\r\n')
  t.match(await found, { kind: 'http' })
  await new Promise(setImmediate)
  t.equal(upstream.destroyed, true)
})

t.test('a client that begins a line and no more is no HTTP after a while', async (t) => {
  const [near, far] = pair()
  far.write('GET')
  t.match(await detectProtocol(near, { dial: noDial, signal: NEVER }), { kind: 'tcp' })
  far.end()
  t.equal(await rest(near), 'GET')
})

t.test('a client that leaves without a word, and an upstream that cannot be had', async (t) => {
  const [near, far] = pair()
  far.end()
  t.match(await detectProtocol(near, { dial: noDial, signal: NEVER }), { kind: 'tcp' })
  const [silent] = pair()
  const dial = () => Promise.reject(new Error('refused'))
  await t.rejects(detectProtocol(silent, { dial, signal: NEVER, silenceMs: 1 }), /refused/)
})

t.test('the signal ends it', async (t) => {
  const [near] = pair()
  const abort = new AbortController()
  const found = detectProtocol(near, { dial: noDial, signal: abort.signal, silenceMs: 1 })
  abort.abort(new Error('gone'))
  await t.rejects(found, /gone/)
})
