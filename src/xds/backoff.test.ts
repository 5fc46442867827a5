import { Code, ConnectError } from '@connectrpc/connect'
import t from 'tap'
import { reconnectAfter } from './backoff.ts'

const lost = (code: Code, text: string) =>
  new ConnectError(text, code, undefined, undefined, new Error('socket'))

t.test('each end of a stream has its delay and its reason', async (t) => {
  const cases = [
    ['no connection', lost(Code.Unavailable, 'ECONNREFUSED'), false, 'ConnectionError', 200],
    ['no token', new Error('token file is empty'), false, 'ConnectionError', 200],
    ['refused', new ConnectError('no', Code.Unauthenticated), false, 'Error', 200],
    ['not ready yet', new ConnectError('server is not ready', Code.Unknown), false, 'Error', 200],
    ['recycled', new ConnectError('x', Code.Unknown), true, 'Reconnect', 10],
    ['deadline', new ConnectError('x', Code.DeadlineExceeded), true, 'Reconnect', 10],
    ['closing', new ConnectError('transport is closing', Code.Unavailable), true, 'Reconnect', 10],
    ['connection lost', lost(Code.Aborted, 'reset'), true, 'Reconnect', 10],
    ['overloaded', new ConnectError('overloaded', Code.Unavailable), true, 'Error', 200],
    ['clean', undefined, true, 'Complete', 0],
    ['clean but useless', undefined, false, 'Complete', 200],
  ] as const
  for (const [name, error, opened, reason, delayMs] of cases) {
    t.match(reconnectAfter({ error, opened, answered: opened }, 100), { reason, delayMs }, name)
    const unanswered = reconnectAfter({ error, opened, answered: false }, 100)
    t.match(unanswered, { reason, delayMs: 200 }, `${name}, without a response`)
  }
})

t.test('failures double the delay up to a bound, a routine end resets it', async (t) => {
  const failed = { error: lost(Code.Unavailable, 'down'), opened: false, answered: false }
  const delays: number[] = []
  let backoffMs = 5
  for (let i = 0; i < 13; i++) {
    backoffMs = reconnectAfter(failed, backoffMs).backoffMs
    delays.push(backoffMs)
  }
  t.strictSame(delays, [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10240, 15000, 15000])
  t.equal(
    reconnectAfter({ error: undefined, opened: true, answered: true }, backoffMs).backoffMs,
    15000,
    'a clean end keeps it',
  )
  t.equal(
    reconnectAfter({ error: new ConnectError('x', Code.Unknown), opened: true, answered: true }, backoffMs)
      .backoffMs,
    10,
  )
})
