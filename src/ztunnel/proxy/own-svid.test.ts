import t from 'tap'
import { SvidManager } from '../../identity/index.ts'
import { workload } from '../../telemetry/test-support.ts'
import { svidOf } from './own-svid.ts'

t.test('a CA that does not answer is an early refusal with a reason, not a hanging connection', async (t) => {
  const svids = new SvidManager({ fetch: () => new Promise(() => {}) })
  t.teardown(() => svids.close())
  await t.rejects(svidOf(svids, workload('web'), 1), {
    code: 'identity',
    message:
      /^identity error: no certificate for spiffe:\/\/cluster.local\/ns\/default\/sa\/web within 1 ms; is the CA reachable/,
  })
})

t.test('a CA that refuses is the reason', async (t) => {
  const svids = new SvidManager({ fetch: () => Promise.reject(new Error('no such node')) })
  t.teardown(() => svids.close())
  await t.rejects(svidOf(svids, workload('web')), {
    code: 'identity',
    message: 'identity error: no such node',
  })
})
