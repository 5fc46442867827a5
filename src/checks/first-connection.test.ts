import t from 'tap'
import { firstConnection } from './first-connection.ts'
import { line, wrong } from './test-support.ts'

const { judge } = firstConnection

t.test('right: both proxies have a line, in HBONE, with identities', (t) => {
  t.strictSame(wrong(judge([line('proxy-a', 'sent'), line('proxy-b', 'arrived')])), [])
  t.end()
})

t.test('wrong: nobody has called, or another service', (t) => {
  t.equal(wrong(judge([])).length, 4)
  t.equal(wrong(judge([line('proxy-b', 'proven')])).length, 4)
  t.match(judge([])[0]?.hint, /docker compose exec sleep curl/)
  t.end()
})

t.test('wrong: the server refused, or it came in plaintext', (t) => {
  const refused = judge([line('proxy-a', 'sent'), line('proxy-b', 'notAllowed')])
  t.strictSame(wrong(refused), ["proxy-b let it in, and knows the client by sleep's certificate"])
  const sent = line('proxy-a', 'sent')
  const { 'dst.hbone_addr': _tunnel, 'dst.identity': _server, ...fields } = sent.fields
  const plain = judge([{ ...sent, fields }, line('proxy-b', 'arrived')])
  t.strictSame(
    plain.map(({ right }) => right),
    [true, false, true, false],
  )
  t.end()
})
