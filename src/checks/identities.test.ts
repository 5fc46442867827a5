import t from 'tap'
import { identities } from './identities.ts'
import { line, wrong } from './test-support.ts'

const { judge } = identities

t.test('right: one with an identity and one without', (t) => {
  t.strictSame(wrong(judge([line('proxy-a', 'proven'), line('proxy-a', 'plain')])), [])
  t.end()
})

t.test('wrong: one of the two has not called, or not helloworld', (t) => {
  t.match(wrong(judge([line('proxy-a', 'proven')])), ['helloworld was called by somebody without'])
  t.match(wrong(judge([line('proxy-a', 'plain')])), ['helloworld was called by sleep'])
  t.equal(wrong(judge([line('proxy-b', 'arrived'), line('proxy-b', 'notAllowed')])).length, 2)
  t.end()
})
