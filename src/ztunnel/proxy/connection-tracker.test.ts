import t from 'tap'
import { authorize, type PolicyContext } from '../../mesh/index.ts'
import { aPolicy } from '../../mesh/test-support.ts'
import { ProxyError } from '../errors.ts'
import { ConnectionTracker, type TrackedConnection } from './connection-tracker.ts'

const connection: TrackedConnection = {
  direction: 'inbound',
  source: '10.0.0.5:40000',
  originalDestination: '10.0.0.6:8080',
  actualDestination: '10.0.0.6:8080',
  protocol: 'HBONE',
}

const context = (destinationPort: number): PolicyContext => ({
  sourceIdentity: undefined,
  sourceAddress: '10.0.0.5',
  destinationAddress: '10.0.0.6',
  destinationPort,
})

t.test('a policy that denies a live connection cuts it, and no other', async (t) => {
  const tracker = new ConnectionTracker()
  const denied = tracker.track(connection, context(8080))
  const allowed = tracker.track(connection, context(9090))
  const outbound = tracker.track({ ...connection, direction: 'outbound' })
  const verdict = authorize([aPolicy({ action: 'DENY', rules: [[]] })], context(8080))
  tracker.reevaluate(({ destinationPort }) => (destinationPort === 8080 ? verdict : undefined))
  t.equal(denied.signal.aborted, true)
  t.match(denied.signal.reason, {
    code: 'policy-changed',
    message: 'connection closed due to policy change',
  })
  t.equal(denied.denied(), verdict)
  tracker.reevaluate(() => undefined)
  t.equal(denied.denied(), verdict, 'what cut it stays on record')
  t.equal(allowed.signal.aborted, false)
  t.equal(outbound.signal.aborted, false, 'policies bear on the inbound side')
})

t.test('what is tracked after the close is cut at once', async (t) => {
  const tracker = new ConnectionTracker()
  const before = tracker.track(connection)
  tracker.close(new ProxyError('drained', 'gone'))
  const after = tracker.track(connection)
  t.equal(before.signal.aborted, true)
  t.equal(after.signal.aborted, true, 'a connection that was still being set up')
})

t.test('a released connection is not listed any more', async (t) => {
  const tracker = new ConnectionTracker()
  const first = tracker.track(connection)
  tracker.track(connection)
  first.release()
  t.same([...tracker.list()], [connection])
})
