import fc from 'fast-check'
import t from 'tap'
import {
  decodeAck,
  decodeHello,
  decodeRequest,
  encodeAck,
  encodeHello,
  encodeRequest,
  MAX_PACKET_BYTES,
  type ZdsRequest,
} from './codec.ts'
import { ZdsError } from './errors.ts'

const INFO = { name: 'client-0', namespace: 'default', serviceAccount: 'client' }

t.test('bytes are those of Istio', async (t) => {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
  t.equal(hex(encodeHello()), '0801')
  t.equal(hex(encodeRequest({ kind: 'del', uid: 'u' })), '1203120175', 'DelWorkload.uid is field 2')
  t.equal(hex(encodeRequest({ kind: 'keep', uid: 'u' })), '2a030a0175', 'keep is field 5')
  t.equal(hex(encodeRequest({ kind: 'snapshot-sent' })), '1a00')
  t.equal(hex(encodeAck()), '0a00', 'success is an ack, not an empty packet')
  t.equal(hex(encodeAck('no')), '0a040a026e6f')
  const add = encodeRequest({
    kind: 'add',
    uid: 'u',
    workloadInfo: { name: 'n', namespace: 's', serviceAccount: 'a' },
  })
  t.equal(hex(add), '0a0e0a017512090a016e1201731a0161')
})

t.test('what is encoded is decoded', async (t) => {
  const requests: ZdsRequest[] = [
    { kind: 'add', uid: 'a', workloadInfo: INFO },
    { kind: 'keep', uid: 'b' },
    { kind: 'del', uid: 'c' },
    { kind: 'snapshot-sent' },
  ]
  for (const request of requests) t.same(decodeRequest(encodeRequest(request)), request)
  t.equal(decodeAck(encodeAck('failure to start proxy')), 'failure to start proxy')
  decodeHello(encodeHello())
})

t.test('an ack always fits, cut at a character', async (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 3000 }), (text) => {
      const packet = encodeAck(text)
      const back = decodeAck(packet)
      return packet.length <= MAX_PACKET_BYTES && (back === text || text.startsWith(back.slice(0, -1)))
    }),
  )
  const long = encodeAck('ü'.repeat(5000))
  t.ok(long.length > MAX_PACKET_BYTES - 16, 'nothing is given away')
  t.match(decodeAck(long), /^ü+…$/)
})

t.test('bytes of a peer decode or throw ZdsError, nothing else', async () => {
  const decoders = [decodeRequest, decodeAck, decodeHello]
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: MAX_PACKET_BYTES }),
      fc.constantFrom(...decoders),
      (bytes, decoder) => {
        try {
          decoder(bytes)
          return true
        } catch (error) {
          return error instanceof ZdsError
        }
      },
    ),
  )
})

t.test('messages that say nothing are refused', async (t) => {
  t.throws(() => decodeHello(new Uint8Array()), { code: 'unsupported-version' })
  t.throws(() => decodeHello(Uint8Array.of(8, 2)), { code: 'unsupported-version' })
  t.throws(() => decodeRequest(new Uint8Array()), { code: 'malformed-packet' })
  t.throws(() => decodeRequest(Buffer.from('0a030a0175', 'hex')), { code: 'workload-info-missing' })
  t.throws(() => decodeRequest(Buffer.from('1200', 'hex')), { code: 'malformed-packet' })
  t.throws(() => decodeAck(new Uint8Array()), { code: 'malformed-packet' })
  t.throws(() => encodeRequest({ kind: 'keep', uid: 'x'.repeat(2000) }), { code: 'packet-too-large' })
})
