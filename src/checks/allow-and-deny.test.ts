import t from 'tap'
import { type AllowAndDenyEvidence, allowAndDeny } from './allow-and-deny.ts'
import { call, failed, line, wrong } from './test-support.ts'

const right: AllowAndDenyEvidence = {
  sleep: call(),
  guest: failed('guest', line('proxy-a', 'denied')),
  outsider: failed('outsider', line('proxy-a', 'notAllowed')),
  guestAtHttpbin: failed('guest', line('proxy-b', 'notAllowed')),
}
const wrongWith = (evidence: Partial<AllowAndDenyEvidence>) =>
  wrong(allowAndDeny.judge({ ...right, ...evidence }))

t.test('right: each for its reason', (t) => {
  t.strictSame(wrongWith({}), [])
  t.end()
})

t.test('wrong: everybody is let in, or nobody is', (t) => {
  const open = call({ from: 'guest', lines: [line('proxy-a', 'proven')] })
  t.equal(wrongWith({ guest: open, outsider: open }).length, 3)
  t.match(wrongWith({ sleep: failed('sleep', line('proxy-a', 'notAllowed')) }), [/^sleep reaches/])
  t.end()
})

t.test('wrong: guest is out only because no ALLOW policy matched it', (t) => {
  t.strictSame(wrongWith({ guest: failed('guest', line('proxy-a', 'notAllowed')) }), [
    'it is demo/helloworld-no-guests that refuses guest',
  ])
  t.end()
})

t.test('wrong: a server that is gone has refused nobody', (t) => {
  t.match(wrongWith({ outsider: failed('outsider', line('proxy-a', 'gone')) }), [/^outsider is refused/])
  t.match(wrongWith({ outsider: failed('outsider') }), [/^outsider is refused/])
  t.end()
})
