import t from 'tap'
import { engine, rawUpstream, talk } from './test-support.ts'

/** Bytes that could be read in two ways, and the status that they get. */
const CASES: readonly (readonly [name: string, status: number, bytes: string])[] = [
  ['two lengths that are the same', 400, post('Content-Length: 3\r\nContent-Length: 3', 'abc')],
  ['two lengths that are not', 400, post('Content-Length: 3\r\nContent-Length: 4', 'abcd')],
  ['a list of lengths', 400, post('Content-Length: 3, 3', 'abc')],
  ['a length with a sign', 400, post('Content-Length: +3', 'abc')],
  ['a length in hexadecimal', 400, post('Content-Length: 0x3', 'abc')],
  ['a negative length', 400, post('Content-Length: -1', '')],
  ['a length beyond counting', 400, post('Content-Length: 99999999999999999999', '')],
  ['a length beyond exact counting', 400, post('Content-Length: 9007199254740993', '')],
  ['a length, then chunks', 400, post('Content-Length: 3\r\nTransfer-Encoding: chunked', '0\r\n\r\n')],
  ['chunks, then a length', 400, post('Transfer-Encoding: chunked\r\nContent-Length: 3', '0\r\n\r\n')],
  ['chunked twice', 400, post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', '0\r\n\r\n')],
  ['chunked twice in one field', 400, post('Transfer-Encoding: chunked, chunked', '0\r\n\r\n')],
  ['chunked, and then something else', 400, post('Transfer-Encoding: chunked, identity', '0\r\n\r\n')],
  ['another coding under the chunks', 501, post('Transfer-Encoding: gzip, chunked', '0\r\n\r\n')],
  ['another coding', 400, post('Transfer-Encoding: gzip', '0\r\n\r\n')],
  ['a coding that is almost chunked', 400, post('Transfer-Encoding: xchunked', '0\r\n\r\n')],
  ['a coding after a vertical tab', 400, post('Transfer-Encoding:\x0bchunked', '0\r\n\r\n')],
  ['a coding in a folded line', 400, post('Transfer-Encoding:\r\n chunked', '0\r\n\r\n')],
  ['chunks in HTTP/1.0', 400, 'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['a chunk size with 0x', 400, chunked('0x3\r\nabc\r\n0\r\n\r\n')],
  ['a chunk size with a sign', 400, chunked('+3\r\nabc\r\n0\r\n\r\n')],
  ['a chunk size beyond counting', 400, chunked('FFFFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n')],
  ['a chunk size and a space', 400, chunked('3 \r\nabc\r\n0\r\n\r\n')],
  ['a chunk that is longer than its size', 400, chunked('3\r\nabcX\r\n0\r\n\r\n')],
  ['a chunk size ended by LF', 400, chunked('3\nabc\r\n0\r\n\r\n')],
  ['a chunk extension ended by LF', 400, chunked('3;a\nabc\r\n0\r\n\r\n')],
  ['a chunk ended by LF', 400, chunked('3\r\nabc\n0\r\n\r\n')],
  ['no chunk size', 400, chunked('\r\nabc\r\n0\r\n\r\n')],
  ['a folded line', 400, get('X: a\r\n b')],
  ['a line that begins with a space', 400, 'GET / HTTP/1.1\r\n Host: a\r\n\r\n'],
  ['LF after the request line', 400, 'GET / HTTP/1.1\nHost: a\r\n\r\n'],
  ['LF after a field', 400, 'GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n'],
  ['LF LF after the head', 400, 'GET / HTTP/1.1\r\nHost: a\n\n'],
  ['CR within a field', 400, get('X: a\rY: b')],
  ['CR CR LF', 400, get('X: b\r')],
  ['a space before the colon', 400, 'GET / HTTP/1.1\r\nHost : a\r\n\r\n'],
  ['a space in a name', 400, get('X Y: b')],
  ['no name', 400, get(': b')],
  ['no colon', 400, get('Xb')],
  ['NUL in a value', 400, get('X: a\0b')],
  ['NUL in a name', 400, get('X\0: a')],
  ['NUL in the target', 400, 'GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a space in the target', 400, 'GET /a b HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['eight-bit characters in the target', 400, 'GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a fragment in the target', 400, 'GET /admin#x HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['no host', 400, 'GET / HTTP/1.1\r\n\r\n'],
  ['two hosts', 400, get('Host: b')],
  ['two hosts that are the same', 400, get('Host: a')],
  ['an empty host', 400, 'GET / HTTP/1.1\r\nHost: \r\n\r\n'],
  ['a user in the host', 400, 'GET / HTTP/1.1\r\nHost: b@a\r\n\r\n'],
  ['a path in the host', 400, 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n'],
  ['a list of hosts', 400, 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n'],
  ['another host in the target', 400, 'GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a scheme that is not ours', 400, 'GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a target that is no path', 400, 'GET a HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['CONNECT', 501, 'CONNECT b:80 HTTP/1.1\r\nHost: b:80\r\n\r\n'],
  ['an unknown method', 400, 'FOO / HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['HTTP/0.9', 505, 'GET /\r\n\r\n'],
  ['HTTP/1.2', 400, 'GET / HTTP/1.2\r\nHost: a\r\n\r\n'],
  ['HTTP/2.0 without being it', 505, 'GET / HTTP/2.0\r\nHost: a\r\n\r\n'],
  ['the preface of HTTP/2', 400, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['connection takes the length away', 400, post('Connection: content-length\r\nContent-Length: 3', 'abc')],
  ['connection takes the host away', 400, get('Connection: close, Host')],
  ['an unknown expectation', 417, post('Expect: 200-ok\r\nContent-Length: 3', 'abc')],
  ['an upgrade with a body', 400, post(`${upgrade()}\r\nContent-Length: 3`, 'abc')],
]

for (const [name, status, bytes] of CASES) {
  t.test(name, async (t) => {
    const upstream = await rawUpstream(t, (socket) => socket.resume())
    // One more request, which must not be taken for anything.
    const { open, refusals, exchanges } = engine(t, upstream.target, { protocol: 'http1' })
    const answer = await talk(open(), `${bytes}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n`)
    t.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `))
    t.match(answer, /connection: close\r\n/)
    t.equal(answer.match(/HTTP\/1\.1 \d{3} /g)?.length, 1, 'one answer')
    t.same(exchanges, [], 'no request')
    t.equal(upstream.connections(), 0, 'nothing reached the upstream')
    t.match(refusals, [new RegExp(`^${status} `)])
  })
}

function get(field: string): string {
  return `GET / HTTP/1.1\r\nHost: a\r\n${field}\r\n\r\n`
}

function post(fields: string, body: string): string {
  return `POST / HTTP/1.1\r\nHost: a\r\n${fields}\r\n\r\n${body}`
}

function chunked(body: string): string {
  return post('Transfer-Encoding: chunked', body)
}

function upgrade(): string {
  return 'Connection: upgrade\r\nUpgrade: websocket'
}
