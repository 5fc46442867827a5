import fc from 'fast-check'
import t from 'tap'
import { linesOfConnection, parseAccessLine } from './access-line.ts'
import { line } from './test-support.ts'

t.test('a line of the plain format is read, quotes and all', (t) => {
  t.match(line('proxy-b', 'denied'), {
    proxy: 'proxy-b',
    message: 'connection complete',
    fields: {
      'src.addr': '172.18.0.3:37579',
      error: 'connection closed due to policy rejection: explicitly denied by: demo/helloworld-no-guests',
      rule: '1',
    },
  })
  const quoted = parseAccessLine(
    'p',
    '2026-11-21T16:49:35Z\tinfo\taccess\trequest\tuser_agent="a \\"b\\" c" x=1',
  )
  t.strictSame(quoted?.fields, { user_agent: 'a "b" c', x: '1' })
  t.end()
})

t.test('what is no access log is none, and nothing makes it throw', (t) => {
  t.equal(parseAccessLine('p', '2026-11-21T16:49:35Z\tinfo\txds\tstream established\tstreams=1'), undefined)
  t.equal(parseAccessLine('p', '{"scope":"access"}'), undefined)
  fc.assert(
    fc.property(fc.string(), (rest) => {
      parseAccessLine('p', rest)
      return parseAccessLine('p', `2026-11-21T16:49:35Z\tinfo\taccess\trequest\t${rest}`) !== undefined
    }),
  )
  t.end()
})

t.test("a connection's lines are the client's and those of its trace", (t) => {
  const [sent, arrived, other] = [
    line('proxy-a', 'sent'),
    line('proxy-b', 'arrived'),
    line('proxy-b', 'proven'),
  ]
  t.strictSame(linesOfConnection([other, sent, arrived], '172.18.0.11:34624'), [sent, arrived])
  const plain = line('proxy-a', 'plain')
  t.strictSame(linesOfConnection([other, plain, line('proxy-b', 'notAllowed')], '172.18.0.2:55516'), [plain])
  t.end()
})
