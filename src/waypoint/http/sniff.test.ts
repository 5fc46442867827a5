import { duplexPair } from 'node:stream'
import fc from 'fast-check'
import t from 'tap'
import { SNIFF_BYTES, sniffProtocol } from './sniff.ts'
import { readFirstBytes } from './sniff-stream.ts'

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'

t.test('what the first bytes are', async (t) => {
  const cases: readonly (readonly [bytes: string, sniffed: string])[] = [
    ['', 'need-more'],
    ['P', 'need-more'],
    ['PRI * HT', 'need-more'],
    [PREFACE, 'http2'],
    [`${PREFACE}\0\0`, 'http2'],
    ['PRI * HTTP/2.0\r\n\r\nXX', 'other'],
    ['GET', 'need-more'],
    ['GET ', 'need-more'],
    ['GET /', 'http1'],
    ['POST http://', 'http1'],
    ['OPTIONS *', 'http1'],
    ['GET \x01', 'other'],
    ['GET  ', 'other'],
    ['FOO /a HTTP/1.1\r\n', 'http1'],
    ['FOO /a HTTP/1.1', 'need-more'],
    ['FOO bar baz\n', 'other'],
    ['get / HTTP/1.1\r\n', 'other'],
    ['SSH-2.0-OpenSSH\r\n', 'other'],
    ['\x16\x03\x01\x02\0', 'other'],
    ['\0\0\0\x08\x04\xd2\x16\x2f', 'other'],
    ['*1\r\n$4\r\nPING\r\n', 'other'],
    ['EHLO example.com\r\n', 'other'],
  ]
  for (const [bytes, sniffed] of cases)
    t.equal(sniffProtocol(Buffer.from(bytes, 'latin1')), sniffed, JSON.stringify(bytes))
})

t.test('no number of bytes is waited for without end', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: SNIFF_BYTES, maxLength: SNIFF_BYTES + 50 }), (bytes) => {
      return sniffProtocol(bytes) !== 'need-more'
    }),
  )
  const word = Buffer.alloc(SNIFF_BYTES, 'FOO ABC')
  t.equal(sniffProtocol(word), 'other')
})

t.test('more bytes change nothing that was decided', async () => {
  const start = fc.constantFrom('', 'GET /', 'G', 'PRI * HTTP/2.0\r\n', PREFACE, 'FOO / HTTP/1.1\r', 'S')
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 30 }), fc.nat(60), (text, tail, cut) => {
      const bytes = Buffer.concat([Buffer.from(text), tail])
      const early = sniffProtocol(bytes.subarray(0, cut))
      return early === 'need-more' || early === sniffProtocol(bytes)
    }),
  )
})

t.test('a stream keeps the bytes that were looked at', async (t) => {
  const [client, server] = duplexPair()
  const sniffed = readFirstBytes(server, 10_000)
  client.write('G')
  setImmediate(() => client.write('ET / HTTP/1.1'))
  t.equal(await sniffed, 'http1')
  t.equal(server.read().toString(), 'GET / HTTP/1.1')
})

t.test('a stream that says nothing, or too little', async (t) => {
  const [, silent] = duplexPair()
  t.equal(await readFirstBytes(silent, 20), 'need-more')
  const [client, ended] = duplexPair()
  client.end('GE')
  t.equal(await readFirstBytes(ended, 10_000), 'need-more')
})
