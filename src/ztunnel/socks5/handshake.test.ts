import fc from 'fast-check'
import t from 'tap'
import { advance, MAX_HANDSHAKE_BYTES, type Socks5State } from './handshake.ts'

const GREETING: Socks5State = { kind: 'greeting' }
const REQUEST: Socks5State = { kind: 'request' }
const bytes = (...values: readonly (number | string)[]): Uint8Array =>
  Buffer.concat(
    values.map((value) => (typeof value === 'number' ? Uint8Array.of(value) : Buffer.from(value))),
  )

t.test('7.1 the greeting: version 5, no authentication among the methods', async (t) => {
  t.match(advance(GREETING, bytes(5, 1, 0)), { kind: 'next', state: REQUEST, length: 3, reply: bytes(5, 0) })
  t.match(
    advance(GREETING, bytes(5, 3, 2, 1, 0, 9)),
    { kind: 'next', length: 5 },
    'what follows is not touched',
  )
  const table: readonly (readonly [string, Uint8Array, string, Uint8Array])[] = [
    ['SOCKS4', bytes(4, 1, 0, 80), 'version', bytes()],
    ['HTTP', bytes('GET / HTTP/1.1\r\n'), 'version', bytes()],
    ['no method', bytes(5, 0), 'method', bytes(5, 0xff)],
    ['passwords only', bytes(5, 1, 2), 'method', bytes(5, 0xff)],
  ]
  for (const [what, input, code, reply] of table) {
    const step = advance(GREETING, input)
    t.match(step, { kind: 'refuse', error: { name: 'Socks5Error', code } }, what)
    t.strictSame(Buffer.from(step.kind === 'refuse' ? step.reply : []), Buffer.from(reply), what)
  }
})

t.test('7.1 the request: CONNECT to IPv4, IPv6 or a name', async (t) => {
  const table: readonly (readonly [string, Uint8Array, { host: string; port: number }])[] = [
    ['IPv4', bytes(5, 1, 0, 1, 10, 96, 0, 7, 0, 80), { host: '10.96.0.7', port: 80 }],
    [
      'IPv6',
      bytes(5, 1, 0, 4, 0xfd, 0, ...new Array<number>(13).fill(0), 7, 0x1f, 0x90),
      { host: 'fd00::7', port: 8080 },
    ],
    [
      'IPv4 in IPv6',
      bytes(5, 1, 0, 4, ...new Array<number>(10).fill(0), 255, 255, 10, 0, 0, 1, 0, 80),
      { host: '10.0.0.1', port: 80 },
    ],
    ['name', bytes(5, 1, 0, 3, 7, 'web.bar', 255, 255), { host: 'web.bar', port: 65_535 }],
    ['longest name', bytes(5, 1, 0, 3, 255, 'x'.repeat(255), 0, 1), { host: 'x'.repeat(255), port: 1 }],
  ]
  for (const [what, input, request] of table) {
    t.ok(input.length <= MAX_HANDSHAKE_BYTES)
    t.match(
      advance(REQUEST, input),
      { kind: 'next', state: { kind: 'complete', request }, length: input.length },
      what,
    )
  }
})

t.test('7.1, 7.3 requests that are refused, each with its reply', async (t) => {
  const table: readonly (readonly [string, Uint8Array, string, number | undefined])[] = [
    ['BIND', bytes(5, 2, 0, 1, 1, 2, 3, 4, 0, 80), 'command', 7],
    ['UDP ASSOCIATE', bytes(5, 3, 0, 1, 1, 2, 3, 4, 0, 80), 'command', 7],
    ['unknown address type', bytes(5, 1, 0, 2, 0), 'address', 8],
    ['empty name', bytes(5, 1, 0, 3, 0, 0, 80), 'address', 8],
    ['name that is no UTF-8', bytes(5, 1, 0, 3, 2, 0xc3, 0x28, 0, 80), 'address', 8],
    ['another version', bytes(4, 1, 0, 1), 'version', undefined],
  ]
  for (const [what, input, code, reply] of table) {
    const step = advance(REQUEST, input)
    t.match(step, { kind: 'refuse', error: { code } }, what)
    t.equal(step.kind === 'refuse' ? step.reply[1] : -1, reply, what)
  }
})

t.test('in whatever pieces the bytes come, they mean the same', async (t) => {
  const whole = [
    { state: GREETING, input: bytes(5, 2, 1, 0) },
    { state: REQUEST, input: bytes(5, 1, 0, 3, 7, 'web.bar', 0, 80) },
  ]
  for (const { state, input } of whole) {
    for (let length = 0; length < input.length; length++)
      t.strictSame(advance(state, input.subarray(0, length)), { kind: 'wait' }, `${length} bytes`)
    t.match(advance(state, input), { kind: 'next', length: input.length })
  }
})

t.test('any bytes lead to a step, and a full buffer is never waited on', async (t) => {
  const state = fc.constantFrom(GREETING, REQUEST)
  fc.assert(
    fc.property(state, fc.uint8Array({ maxLength: 300 }), (from, input) => {
      const step = advance(from, input)
      if (step.kind === 'next' && step.length > input.length) throw new Error('more than there is')
    }),
    { numRuns: 5000 },
  )
  fc.assert(
    fc.property(
      state,
      fc.uint8Array({ minLength: MAX_HANDSHAKE_BYTES, maxLength: MAX_HANDSHAKE_BYTES }),
      (from, input) => {
        if (advance(from, input).kind === 'wait') throw new Error('it would wait for ever')
        input[0] = 5
        if (advance(from, input).kind === 'wait') throw new Error('it would wait for ever')
      },
    ),
    { numRuns: 2000 },
  )
  t.pass()
})
