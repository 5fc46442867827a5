// Our xDS client and a control plane that breaks: whatever the bytes, the mesh
// stays what it was, and the next stream tells what is held and completes it.
import t from 'tap'
import { FRAME } from '../../src/conformance/frames.ts'
import { ADDRESS, AUTHORIZATION } from '../support/foreign-ztunnel.ts'
import { envelope, type ScriptedCall, ScriptedGrpcServer } from '../support/scripted-grpc-server.ts'
import { answer, beginning, policy, response, scriptedClient, workload } from '../support/scripted-mesh.ts'
import { until } from '../support/until.ts'

const MIB = 1024 ** 2
/** It would take `a` away, move `b` and bring `c`. */
const CHANGE = response({ nonce: 'n', resources: [workload('b', 20), workload('c', 3)], removed: ['a'] })
const half = envelope(CHANGE).subarray(0, 40)

type Break = (call: ScriptedCall) => void | Promise<void>

const afterHalf =
  (then: Break): Break =>
  (call) => {
    call.data(half)
    return then(call)
  }
const afterHeaders =
  (then: Break): Break =>
  (call) => {
    call.headers()
    return then(call)
  }

/** What ends a stream, and why it did by the metric `istio_xds_connection_terminations`. */
const BREAKS: readonly [what: string, reason: string | RegExp, Break][] = [
  ['half a message, then END_STREAM', /./, afterHalf((call) => call.endStream())],
  ['half a message, then the trailers of a good end', /./, afterHalf((call) => call.trailers(0))],
  ['half a message, then RST_STREAM(INTERNAL_ERROR)', /./, afterHalf((call) => call.reset('INTERNAL_ERROR'))],
  ['half a message, then RST_STREAM(NO_ERROR)', /./, afterHalf((call) => call.reset('NO_ERROR'))],
  [
    'half a message, then RST_STREAM(ENHANCE_YOUR_CALM)',
    /./,
    afterHalf((call) => call.reset('ENHANCE_YOUR_CALM')),
  ],
  ['half a message, then TCP is gone', 'Reconnect', afterHalf((call) => call.hangUp())],
  [
    'half a message, then GOAWAY and the end of the connection',
    /./,
    async (call) => {
      call.data(half)
      call.goaway('NO_ERROR')
      await call.readByClient()
      call.hangUp()
    },
  ],
  [
    'GOAWAY(PROTOCOL_ERROR) before the stream',
    /./,
    (call) => {
      call.goaway('PROTOCOL_ERROR', 0)
      call.hangUp()
    },
  ],
  ['a body that is no protobuf', 'Error', (call) => call.message(Buffer.from('0affffffffff7f', 'hex'))],
  ['a body that ends inside a field', 'Error', (call) => call.message(CHANGE.subarray(0, CHANGE.length - 1))],
  ['a message that claims 4 GiB', 'Error', (call) => call.data(envelope(CHANGE, 2 ** 32 - 1))],
  ['a message that claims 201 MiB', 'Error', (call) => call.data(envelope(CHANGE, 201 * MIB))],
  ['a compressed message that is none', 'Error', (call) => call.data(envelope(CHANGE, CHANGE.length, 1))],
  ['the end without trailers', 'Error', (call) => call.endStream()],
  ['a status that is no number', 'Error', (call) => call.trailers('fine')],
  ['an error after a good beginning', 'Error', (call) => call.trailers(7, 'no more')],
  ['an error text that is not percent-encoded', /./, (call) => call.trailers(13, '%%%zz%f')],
  [
    'a frame that may not be',
    /./,
    (call) => call.frame({ type: FRAME.DATA, streamId: 0, payload: Buffer.from('x') }),
  ],
  [
    'a frame larger than allowed',
    /./,
    (call) => call.frame({ type: FRAME.DATA, claimedLength: 2 ** 24 - 1 }),
  ],
  [
    'a broken header block',
    /./,
    (call) => call.frame({ type: FRAME.HEADERS, flags: 5, payload: Buffer.from([0xff]) }),
  ],
  ['bytes that are not HTTP/2', /./, (call) => call.bytes(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'))],
]

t.test('a stream that breaks', async (t) => {
  const server = await ScriptedGrpcServer.open(t)
  const { mesh, terminations } = scriptedClient(t, server)
  const held = { workloads: ['a 10.0.0.1', 'b 10.0.0.2'], policies: ['p'] }
  let call = await server.call()
  await beginning(call)
  call.headers()
  call.message(response({ nonce: '1', resources: [workload('a', 1), workload('b', 2)] }))
  call.message(response({ type: AUTHORIZATION, nonce: '2', resources: [policy('p')] }))
  t.match([await answer(call), await answer(call)], [{ nonce: '1' }, { nonce: '2' }])
  t.strictSame(mesh(), held)

  for (const [what, reason, act] of BREAKS) {
    await t.test(what, async (t) => {
      const before = terminations.length
      await act(call)
      await until(() => terminations.length > before, 'the end of the stream')
      t.match(terminations.at(-1), reason)
      t.strictSame(mesh(), held, 'nothing of it is in force')
      call = await server.call()
      const { addresses, policies } = await beginning(call)
      t.match(addresses, { type: ADDRESS, versions: { a: '1', b: '2' } }, 'it tells what it holds')
      t.match(policies, { type: AUTHORIZATION, versions: { 'foo/p': '1' } })
      call.headers()
      call.message(response({ nonce: 'x' }))
      t.match(await answer(call), { nonce: 'x', error: undefined })
    })
  }
  call.message(CHANGE)
  t.match(await answer(call), { nonce: 'n', error: undefined })
  t.strictSame(mesh(), { workloads: ['b 10.0.0.20', 'c 10.0.0.3'], policies: ['p'] }, 'in the end all of it')
})

/** What a server may answer instead of opening the stream. */
const REFUSALS: readonly [what: string, Break][] = [
  ['a status at once', (call) => call.trailersOnly(14, 'no healthy upstream')],
  ['what istiod says before it is ready', (call) => call.trailersOnly(2, 'server is not ready')],
  ['permission denied', (call) => call.trailersOnly(7, 'no identities matched')],
  [
    'HTTP 503 of a load balancer',
    (call) =>
      call.headers(
        [
          [':status', '503'],
          ['content-type', 'text/html'],
        ],
        true,
      ),
  ],
  [
    'a web page',
    (call) =>
      call.headers(
        [
          [':status', '200'],
          ['content-type', 'text/html'],
        ],
        true,
      ),
  ],
  ['a refused stream', (call) => call.reset('REFUSED_STREAM')],
  ['no connection', (call) => call.hangUp()],
  ['a good end at once', (call) => call.trailersOnly(0)],
  ['a good end after headers', afterHeaders((call) => call.trailers(0))],
  ['a lost connection after headers', afterHeaders((call) => call.hangUp())],
]

for (const [what, act] of REFUSALS) {
  t.test(`${what}, time after time: asked less and less often`, async (t) => {
    const server = await ScriptedGrpcServer.open(t)
    const { delays, client } = scriptedClient(t, server)
    while (delays.length < 6) await act(await server.call())
    await until(() => delays.length >= 6, 'six delays')
    t.strictSame(delays.slice(0, 6), [10, 20, 40, 80, 160, 320])
    t.equal(
      client.status().types.some(({ synced }) => synced),
      false,
    )
    const call = await server.call()
    await beginning(call)
    call.headers()
    call.message(response({ nonce: '1', resources: [workload('a', 1)] }))
    t.match(await answer(call), { nonce: '1' }, 'and it is there when the server is')
  })
}
