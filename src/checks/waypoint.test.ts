import t from 'tap'
import { call, failed, line, wrong } from './test-support.ts'
import { type WaypointEvidence, waypoint } from './waypoint.ts'

const v2 = call({ body: '{"app":"helloworld-v2"}' })
const right: WaypointEvidence = {
  hello: call({ lines: [line('waypoint', 'request')] }),
  admin: call({ status: 403, lines: [line('waypoint', 'forbidden')] }),
  preview: Array.from({ length: 6 }, () => v2),
}
const wrongWith = (evidence: Partial<WaypointEvidence>) => wrong(waypoint.judge({ ...right, ...evidence }))

t.test('right: judged and routed by the waypoint', (t) => {
  t.strictSame(wrongWith({}), [])
  t.end()
})

t.test('wrong: without a waypoint, a 403 of somebody else, a route to both, no answer', (t) => {
  t.match(wrongWith({ hello: call({ lines: [line('proxy-a', 'proven')] }) }), [/went through the waypoint/])
  t.match(wrongWith({ admin: call() }), [/denied with 403/])
  t.match(wrongWith({ admin: call({ status: 403 }) }), [/denied with 403/])
  const v1 = call({ body: '{"app":"helloworld-v1"}' })
  t.match(wrongWith({ preview: [v2, v1] }), [/answered by v2 alone/])
  t.match(wrongWith({ preview: [v2, failed('sleep')] }), [/answered by v2 alone/])
  t.match(wrongWith({ preview: [] }), [/answered by v2 alone/])
  t.end()
})
