import t from 'tap'
import type { NetworkNamespace } from '../../linux/index.ts'
import type { WorkloadInfo } from '../proxy/local-workload.ts'
import { PodManager, type PodProxy } from './pod-manager.ts'

const sleep: WorkloadInfo = { name: 'sleep', namespace: 'foo', serviceAccount: 'sleep' }
const web: WorkloadInfo = { name: 'web', namespace: 'foo', serviceAccount: 'sleep' }

t.test('the same pod named again keeps its proxy; another namespace replaces it', async (t) => {
  const { manager, started, closed } = harness()
  await manager.add('uid-1', sleep, namespace(1))
  const again = namespace(1)
  await manager.add('uid-1', sleep, again)
  t.same(started, ['sleep'])
  t.equal(again.closed, true, 'the second descriptor is not leaked')
  await manager.add('uid-1', sleep, namespace(2))
  t.same(started, ['sleep', 'sleep'])
  t.same(closed, ['sleep'], 'the old sandbox has no proxy any more')
})

t.test('the snapshot decides who is gone after a reconnect', async (t) => {
  const { manager, closed } = harness()
  await manager.add('uid-1', sleep, namespace(1))
  await manager.add('uid-2', web, namespace(2))
  manager.snapshotSent()
  manager.connected()
  manager.remove('uid-1')
  t.same(closed, [], 'a removal before the snapshot only takes the name off the list')
  manager.keep('uid-2')
  manager.snapshotSent()
  t.same(closed, ['sleep'])
  t.same(
    [...manager.states()].map(([uid, { state }]) => [uid, state]),
    [['uid-2', 'Up']],
  )
})

t.test('a pod that cannot be served is pending, is tried again, and holds up nobody', async (t) => {
  const { manager, failing, retries, status } = harness()
  failing.add('sleep')
  await t.rejects(manager.add('uid-1', sleep, namespace(1)), /address in use/)
  await manager.add('uid-2', web, namespace(2))
  t.same(status(), { active: 1, pending: 1 })
  t.match([...manager.states()][0]?.[1], { state: 'Pending', error: /address in use/ })
  failing.clear()
  retries.splice(0).forEach((retry) => {
    retry()
  })
  await manager.settled()
  t.same(status(), { active: 2, pending: 0 })
})

t.test('a removed pod is not tried again', async (t) => {
  const { manager, failing, retries, started } = harness()
  failing.add('sleep')
  await t.rejects(manager.add('uid-1', sleep, namespace(1)))
  manager.snapshotSent()
  manager.remove('uid-1')
  failing.clear()
  for (const retry of retries) retry()
  await manager.settled()
  t.same(started, [])
})

t.test('the last pod of an identity is told apart from the others', async (t) => {
  const { manager, last } = harness()
  await manager.add('uid-1', sleep, namespace(1))
  await manager.add('uid-2', web, namespace(2))
  manager.snapshotSent()
  manager.remove('uid-1')
  manager.remove('uid-2')
  t.same(last, [false, true])
})

function harness() {
  const started: string[] = []
  const closed: string[] = []
  const last: boolean[] = []
  const failing = new Set<string>()
  const retries: (() => void)[] = []
  let latest = { active: 0, pending: 0 }
  const manager = new PodManager<PodProxy>({
    start: (_uid, info) => {
      if (failing.has(info.name)) throw new Error('address in use')
      return {
        run: async () => void started.push(info.name),
        drain: async () => {},
        close: () => void closed.push(info.name),
      }
    },
    onChange: (status) => {
      latest = status
    },
    onStarted: () => {},
    onStopped: (_uid, _info, lastOfIdentity) => void last.push(lastOfIdentity),
    onRetryFailed: () => {},
    setTimer: (callback) => {
      retries.push(callback)
      return { clear: () => {} }
    },
  })
  // Retries run in microtasks only: the fakes above never wait.
  const settled = async (): Promise<void> => void (await new Promise(setImmediate))
  return {
    manager: Object.assign(manager, { settled }),
    started,
    closed,
    failing,
    retries,
    last,
    status: () => latest,
  }
}

function namespace(inode: number): NetworkNamespace & { closed: boolean } {
  const fake = {
    inode,
    closed: false,
    equals: (other: { inode: number }) => other.inode === inode,
    close() {
      fake.closed = true
    },
  }
  return fake as unknown as NetworkNamespace & { closed: boolean }
}
