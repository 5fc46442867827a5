import t from 'tap'
import { type StrictEvidence, strictMutualTls } from './strict-mutual-tls.ts'
import { call, failed, line, wrong } from './test-support.ts'

const right: StrictEvidence = {
  toAmbient: call({ lines: [line('proxy-b', 'proven')] }),
  toSidecar: call({ lines: [line('proxy-a', 'sent'), line('neighbour-sidecar', 'proven')] }),
  plainToAmbient: failed('outsider', line('proxy-b', 'notAllowed')),
  plainToSidecar: failed('outsider', line('neighbour-sidecar', 'notAllowed')),
}
const wrongWith = (evidence: Partial<StrictEvidence>) =>
  wrong(strictMutualTls.judge({ ...right, ...evidence }))

t.test('right: mutual TLS gets in, plaintext does not', (t) => {
  t.strictSame(wrongWith({}), [])
  t.end()
})

t.test('wrong: plaintext is taken, by either', (t) => {
  const open = call({ from: 'outsider', lines: [line('proxy-b', 'plain')] })
  t.equal(wrongWith({ plainToAmbient: open }).length, 1)
  t.equal(wrongWith({ plainToSidecar: open }).length, 1)
  t.end()
})

t.test('wrong: neighbour was reached past its sidecar', (t) => {
  t.match(wrongWith({ toSidecar: call({ lines: [line('proxy-a', 'sent')] }) }), [/^the sidecar of neighbour/])
  t.match(wrongWith({ toSidecar: call({ lines: [line('proxy-b', 'proven')] }) }), [
    /^the sidecar of neighbour/,
  ])
  t.end()
})
