// Our CA client and a CA that answers what it likes: no answer that cannot be
// used becomes a certificate, each says what was wrong, and none does harm.
import t from 'tap'
import {
  CaClient,
  CertificateAuthority,
  createCsr,
  createInMemoryCa,
  generateKeyPair,
  SvidManager,
} from '../../src/identity/index.ts'
import { envelope, type ScriptedCall, ScriptedGrpcServer } from '../support/scripted-grpc-server.ts'
import { until } from '../support/until.ts'
import { lengthField, messages, number, readFields, string } from '../support/wire.ts'

const MIB = 1024 ** 2
const ID = { trustDomain: 'cluster.local', namespace: 'foo', serviceAccount: 'a' }
const OTHER = { ...ID, serviceAccount: 'b' }
const HOUR = 3600

t.test('a CA that answers what it likes', async (t) => {
  const server = await ScriptedGrpcServer.open(t)
  const material = await createInMemoryCa()
  const ca = new CertificateAuthority(material)
  const elsewhere = await createInMemoryCa()
  const sign = (csrPem: string, id = ID) => ca.sign({ csrPem, id, ttlSeconds: HOUR })
  const client = new CaClient({
    address: server.address,
    rootCertPem: server.rootsPem,
    token: () => 'token',
    impersonate: true,
    ttlSeconds: HOUR,
  })
  t.teardown(() => client.close())

  /** One request and its answer. */
  const exchange = async (answer: (call: ScriptedCall, csr: string) => void | Promise<void>) => {
    const outcome = client.fetch(ID)
    outcome.catch(() => {})
    const call = await server.call()
    const request = readFields(await call.next())
    await answer(call, string(request, 1))
    return { svid: await outcome, request }
  }
  const chain = (elements: readonly (string | Buffer)[]) => (call: ScriptedCall) => {
    call.headers()
    call.message(Buffer.concat(elements.map((pem) => lengthField(1, pem))))
    call.trailers(0)
  }

  await t.test('the request is what istiod reads', async (t) => {
    const { svid, request } = await exchange(async (call, csr) => chain(await sign(csr))(call))
    t.strictSame([...request.keys()].sort(), [1, 3, 4])
    t.match(string(request, 1), /^-----BEGIN CERTIFICATE REQUEST-----\n/)
    t.equal(number(request, 3), HOUR)
    const [entry = Buffer.alloc(0)] = messages(readFields(messages(request, 4)[0] ?? Buffer.alloc(0)), 1)
    t.equal(string(readFields(entry), 1), 'ImpersonatedIdentity')
    const value = readFields(messages(readFields(entry), 2)[0] ?? Buffer.alloc(0))
    t.equal(string(value, 3), 'spiffe://cluster.local/ns/foo/sa/a')
    t.match(svid, { id: ID })
  })

  await t.test('several roots, unknown fields, byte by byte', async (t) => {
    const { svid } = await exchange(async (call, csr) => {
      const [leaf = '', ...rest] = await sign(csr)
      const roots = `${rest.at(-1)}${elsewhere.rootsPem}`
      const elements = [leaf, ...rest.slice(0, -1), roots].map((pem) => lengthField(1, pem))
      call.headers()
      call.data(envelope(Buffer.concat([lengthField(9, 'new'), ...elements])), 1)
      call.trailers(0)
    })
    t.equal(svid.roots.length, 2)
  })

  const answers: readonly [
    string,
    string,
    RegExp,
    (call: ScriptedCall, csr: string) => void | Promise<void>,
  ][] = [
    ['no certificate', 'CHAIN_INVALID', /chain returned from CA is empty/, chain([])],
    [
      'a leaf and no root',
      'CHAIN_INVALID',
      /no root/,
      async (call, csr) => chain((await sign(csr)).slice(0, 1))(call),
    ],
    ['text that is no PEM', 'CHAIN_INVALID', /PEM/, chain(['certificate', 'to follow'])],
    [
      'bytes that are no text',
      'SIGNING_FAILED',
      /signing gRPC error/,
      chain([Buffer.from([0xff, 0xfe, 0xc0])]),
    ],
    [
      'PEM around garbage',
      'CHAIN_INVALID',
      /cannot be parsed/,
      chain(['-----BEGIN CERTIFICATE-----\nAQIDBA==\n-----END CERTIFICATE-----\n', material.rootsPem]),
    ],
    [
      'the certificate of another key',
      'CHAIN_INVALID',
      /not for the key in the request/,
      async (call) => chain(await sign(await createCsr(ID, await generateKeyPair())))(call),
    ],
    [
      'the certificate of another workload',
      'CHAIN_INVALID',
      /did not find expected SAN: asked for .*sa\/a, the CA signed .*sa\/b/,
      async (call, csr) => chain(await sign(csr, OTHER))(call),
    ],
    [
      'a chain that no TLS peer would read',
      'CHAIN_INVALID',
      /51 certificates/,
      async (call, csr) => {
        const [leaf = '', between = '', roots = ''] = await sign(csr)
        chain([leaf, between.repeat(50), roots])(call)
      },
    ],
    [
      'intermediate first',
      'CHAIN_INVALID',
      /did not find expected SAN/,
      async (call, csr) => {
        const [leaf = '', between = '', roots = ''] = await sign(csr)
        chain([between, leaf, roots])(call)
      },
    ],
    [
      'nothing but a good end',
      'SIGNING_FAILED',
      /gRPC error/,
      (call) => {
        call.headers()
        call.trailers(0)
      },
    ],
    [
      'two answers',
      'SIGNING_FAILED',
      /gRPC error/,
      async (call, csr) => {
        const pem = await sign(csr)
        call.headers()
        for (let i = 0; i < 2; i++) call.message(Buffer.concat(pem.map((one) => lengthField(1, one))))
        call.trailers(0)
      },
    ],
    [
      'an answer and then an error',
      'SIGNING_FAILED',
      /Internal\): rolled back/,
      async (call, csr) => {
        const pem = await sign(csr)
        call.headers()
        call.message(Buffer.concat(pem.map((one) => lengthField(1, one))))
        call.trailers(13, 'rolled back')
      },
    ],
    [
      '4 GiB, as it says',
      'SIGNING_FAILED',
      /larger than/,
      (call) => {
        call.headers()
        call.data(envelope(Buffer.alloc(9), 2 ** 32 - 1))
      },
    ],
    [
      '5 MiB, as it says',
      'SIGNING_FAILED',
      /larger than/,
      (call) => {
        call.headers()
        call.data(envelope(Buffer.alloc(9), 5 * MIB))
      },
    ],
    [
      'half an answer',
      'SIGNING_FAILED',
      /gRPC error/,
      (call) => {
        call.headers()
        call.data(envelope(Buffer.alloc(9), 90))
        call.endStream()
      },
    ],
    [
      'no protobuf',
      'SIGNING_FAILED',
      /gRPC error/,
      (call) => {
        call.headers()
        call.message(Buffer.from('0affff', 'hex'))
        call.trailers(0)
      },
    ],
    [
      'a refusal',
      'SIGNING_FAILED',
      /Unauthenticated\): who are you.*AUTH_TOKEN/,
      (call) => call.trailersOnly(16, 'who are you'),
    ],
    [
      'a web page',
      'SIGNING_FAILED',
      /gRPC error/,
      (call) =>
        call.headers(
          [
            [':status', '200'],
            ['content-type', 'text/html'],
          ],
          true,
        ),
    ],
    ['a reset', 'SIGNING_FAILED', /gRPC error/, (call) => call.reset('INTERNAL_ERROR')],
    ['a lost connection', 'SIGNING_FAILED', /gRPC error/, (call) => call.hangUp()],
  ]
  for (const [what, code, message, act] of answers) {
    await t.test(what, async (t) => {
      await t.rejects(exchange(act), { code, message })
    })
  }

  await t.test('a certificate that has ended is not handed out', async (t) => {
    const now = () => Date.now() - 2 * HOUR * 1000
    const past = new CertificateAuthority(await createInMemoryCa({ now: now() }), { now })
    const manager = new SvidManager({ fetch: (id, signal) => client.fetch(id, signal) })
    t.teardown(() => manager.close())
    const waiting = manager.get(ID)
    waiting.catch(() => {})
    const call = await server.call()
    const csrPem = string(readFields(await call.next()), 1)
    chain(await past.sign({ csrPem, id: ID, ttlSeconds: HOUR }))(call)
    await t.rejects(waiting, { code: 'EXPIRED' })
    t.equal(manager.peek(ID), undefined)
  })

  await t.test('no answer: whoever stops waiting leaves nothing behind at the CA', async (t) => {
    const stop = new AbortController()
    const waiting = client.fetch(ID, stop.signal)
    const call = await server.call()
    await call.next()
    stop.abort()
    await t.rejects(waiting, { code: 'SIGNING_FAILED' })
    await until(() => call.ended === 'reset', 'the end of the call')
  })

  const { svid } = await exchange(async (call, csr) => chain(await sign(csr))(call))
  t.match(svid, { id: ID }, 'and a good answer is good after all these')
})
