import { type Check, expect, fail, pass } from '../check.ts'
import type { CheckContext } from '../context.ts'
import { dataFrame } from '../frames.ts'
import type { Fields } from '../hpack.ts'
import { answer, connectFields, content, describeAnswer, isRefusal, openTunnel, request } from '../tunnel.ts'

const MALFORMED = 'RFC 9113 section 8.1.1'

interface Malformed {
  readonly name: string
  readonly title: string
  readonly standsOn: string
  readonly explanation: string
  /** Default: must. */
  readonly level?: Check['level']
  fields(authority: string): Fields
}

/** Requests that are no CONNECT, or not quite. */
const ROWS: readonly Malformed[] = [
  {
    name: 'no-authority',
    title: 'refuses CONNECT without :authority',
    standsOn: 'RFC 9113 section 8.5',
    explanation: 'There is nowhere to go.',
    fields: () => [[':method', 'CONNECT']],
  },
  {
    name: 'path-present',
    title: 'refuses CONNECT with :path',
    standsOn: `RFC 9113 section 8.5 and ${MALFORMED.slice(9)}`,
    explanation:
      ':scheme and :path must be left out. A proxy that looks at either may take the request for another one than its neighbour does.',
    fields: (authority) => [...connectFields(authority), [':path', '/']],
  },
  {
    name: 'scheme-present',
    title: 'refuses CONNECT with :scheme',
    standsOn: `RFC 9113 section 8.5 and ${MALFORMED.slice(9)}`,
    explanation: 'As for :path.',
    fields: (authority) => [...connectFields(authority), [':scheme', 'https']],
  },
  {
    name: 'get',
    title: 'refuses GET',
    standsOn: 'Istio: HBONE is CONNECT and nothing else; ztunnel answers 400',
    explanation:
      'There is no resource on this port. An answer of 200 would be a hole that policy never sees.',
    fields: (authority) => [
      [':method', 'GET'],
      [':scheme', 'https'],
      [':path', '/'],
      [':authority', authority],
    ],
  },
  {
    name: 'authority-twice',
    title: 'refuses CONNECT with two :authority fields',
    standsOn: `${MALFORMED} and section 8.3`,
    explanation: 'One part of a proxy may judge the first, another dial the second.',
    fields: (authority) => [...connectFields(authority), [':authority', authority]],
  },
  {
    name: 'pseudo-header-last',
    title: 'refuses a pseudo-header after an ordinary field',
    standsOn: 'RFC 9113 section 8.3',
    explanation: 'Pseudo-headers come first; what comes later is an attempt to slip one past.',
    fields: (authority) => [
      [':method', 'CONNECT'],
      ['baggage', 'a=b'],
      [':authority', authority],
    ],
  },
  {
    name: 'unknown-pseudo-header',
    title: 'refuses a pseudo-header that no RFC knows',
    standsOn: 'RFC 9113 section 8.3',
    explanation: 'The names with a colon are the protocol’s own.',
    fields: (authority) => [...connectFields(authority), [':conformance', '1']],
  },
  {
    name: 'upper-case-name',
    title: 'refuses a field name with a capital letter',
    standsOn: 'RFC 9113 section 8.2.1',
    explanation: 'Two spellings of one name are two fields to one program and one to another.',
    fields: (authority) => connectFields(authority, [['Baggage', 'a=b']]),
  },
  {
    name: 'connection-header',
    title: 'refuses a connection-specific field',
    standsOn: 'RFC 9113 section 8.2.2',
    explanation: '`connection` belongs to HTTP/1.1; where the two meet it smuggles requests.',
    fields: (authority) => connectFields(authority, [['connection', 'close']]),
  },
  {
    name: 'line-break-in-value',
    level: 'should',
    title: 'refuses a line break in a field value',
    standsOn: 'RFC 9113 section 8.2.1',
    explanation:
      'Written to a log or to an HTTP/1.1 peer, it begins a line of its own. (nghttp2 serves the request without the field, which is as safe.)',
    fields: (authority) => connectFields(authority, [['baggage', 'a=b\r\nx-forged: 1']]),
  },
]

/** What an authority must not look like; the port of the good one takes the place of `PORT`. */
const BAD_AUTHORITIES = [
  '',
  'HOST',
  ':PORT',
  'HOST:',
  'HOST:0',
  'HOST:65536',
  'HOST:PORT:PORT',
  'HOST:PORT/',
  'user@HOST:PORT',
  'https://HOST:PORT',
  '[::1:PORT',
  '[HOST]:PORT',
  'HO ST:PORT',
] as const

/** Second spellings of a good one. Rust's and C++'s number parsers take them without being asked. */
const LENIENT_AUTHORITIES = ['HOST:+PORT', 'HOST:0PORT', 'HOST:PORT '] as const

/** The request itself. */
export const connectChecks: readonly Check[] = [
  {
    name: 'connect/tunnel',
    title: 'answers CONNECT with 200 and carries bytes both ways',
    level: 'must',
    standsOn: 'RFC 9113 section 8.5; RFC 9110 section 9.3.6',
    explanation: 'What HBONE is.',
    needs: ['authority'],
    run: async (context) => {
      const connection = await context.connected()
      const stream = await openTunnel(connection, context.authority)
      connection.write(dataFrame(stream.id, Buffer.from('ping')))
      await connection.until('echo', () => stream.receivedBytes >= 4)
      return expect(String(content(stream)) === 'ping', String(content(stream)))
    },
  },
  {
    name: 'connect/istio-headers',
    title: 'accepts the fields that Istio sends, and any other',
    level: 'must',
    standsOn:
      'Istio: baggage, forwarded, traceparent, x-forwarded-network, x-istio-source; RFC 9110 section 5.1',
    explanation:
      'ztunnel sends some of them, gateways send others, and a release from now there will be one more.',
    needs: ['authority'],
    run: async (context) => {
      const connection = await context.connected()
      await openTunnel(connection, context.authority, ISTIO_FIELDS)
      return pass()
    },
  },
  {
    name: 'connect/malformed-authority',
    title: 'refuses an :authority that is not host:port',
    level: 'must',
    standsOn: 'RFC 9110 section 9.3.6; RFC 3986 section 3.2',
    explanation:
      'Each lenient reading is a second spelling of a destination, which a policy on the first does not match.',
    needs: ['authority'],
    run: (context) => badAuthorities(context, BAD_AUTHORITIES),
  },
  {
    name: 'connect/lenient-authority',
    title: 'refuses a second spelling of an :authority',
    level: 'should',
    standsOn: 'RFC 9110 section 9.3.6; RFC 3986 section 3.2.3: a port is digits',
    explanation:
      'What is written differently is logged and compared differently, and goes to the same place.',
    needs: ['authority'],
    run: (context) => badAuthorities(context, LENIENT_AUTHORITIES),
  },
  ...ROWS.map(
    ({ fields, ...row }): Check => ({
      level: 'must',
      ...row,
      name: `connect/${row.name}`,
      needs: ['authority'],
      run: (context) => refused(context, fields(context.authority)),
    }),
  ),
]

async function refused(context: CheckContext, fields: Fields) {
  const connection = await context.connected()
  const found = await answer(connection, request(connection, fields))
  return expect(isRefusal(found), describeAnswer(connection, found))
}

async function badAuthorities(context: CheckContext, patterns: readonly string[]) {
  const colon = context.authority.lastIndexOf(':')
  const [host, port] = [context.authority.slice(0, colon), context.authority.slice(colon + 1)]
  const accepted: string[] = []
  let connection = await context.connected()
  for (const pattern of patterns) {
    if (connection.ended !== undefined || connection.goaways.length > 0)
      connection = await context.connected()
    const authority = pattern
      .replace('HOST', host)
      .replaceAll('PORT', port)
      .replace('HO ST', `${host.slice(0, 2)} ${host.slice(2)}`)
    const found = await answer(connection, request(connection, connectFields(authority)))
    if (!isRefusal(found)) accepted.push(`"${authority}": ${describeAnswer(connection, found)}`)
  }
  if (accepted.length > 0) return fail(accepted.join(', '))
  return pass(`${patterns.length} of them`)
}

const ISTIO_FIELDS: Fields = [
  ['baggage', 'k8s.cluster.name=Kubernetes,k8s.namespace.name=conformance,k8s.pod.name=client'],
  ['forwarded', 'for="192.0.2.1:40000";host=echo.default.svc.cluster.local'],
  ['traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'],
  ['x-istio-source', 'gateway'],
  ['x-conformance', 'anything'],
]
