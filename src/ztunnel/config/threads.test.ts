import t from 'tap'
import { workerThreads } from './threads.ts'
import { type Environment, Values } from './values.ts'

const threads = (env: Environment, cores: number, concurrency?: number): number =>
  workerThreads(new Values(env), concurrency, cores)

t.test('by default a quarter of the cores or two, but no more than half of them', async (t) => {
  const cores = [1, 2, 3, 4, 8, 12, 16, 64]
  t.same(
    cores.map((count) => threads({}, count)),
    [1, 1, 1, 2, 2, 3, 4, 16],
  )
})

t.test('ZTUNNEL_WORKER_THREADS: a number, a share rounded up, or 0 for all cores', async (t) => {
  t.equal(threads({ ZTUNNEL_WORKER_THREADS: '3' }, 2), 3)
  t.equal(threads({ ZTUNNEL_WORKER_THREADS: '25%' }, 6), 2)
  t.equal(threads({ ZTUNNEL_WORKER_THREADS: '1%' }, 6), 1)
  t.equal(threads({ ZTUNNEL_WORKER_THREADS: '100%' }, 6), 6)
  t.equal(threads({ ZTUNNEL_WORKER_THREADS: '50%', ZTUNNEL_CPU_LIMIT: '8' }, 2), 4)
  t.equal(threads({ ZTUNNEL_WORKER_THREADS: '0' }, 6), 6)
  for (const wrong of ['0%', '101%', '-1', 'two', '1.5', '1000']) {
    t.throws(() => threads({ ZTUNNEL_WORKER_THREADS: wrong }, 2), { code: 'configuration' }, wrong)
  }
})

t.test('concurrency of the ProxyConfig comes after the variable and before the limits', async (t) => {
  t.equal(threads({}, 8, 3), 3)
  t.equal(threads({}, 8, 0), 8)
  t.equal(threads({ ZTUNNEL_WORKER_THREADS: '2' }, 8, 3), 2)
  t.equal(threads({ ZTUNNEL_RESOURCE_CPU_LIMIT: '4' }, 8, 3), 3)
})

t.test('CPU limit and request of the pod, rounded up', async (t) => {
  t.equal(threads({ ZTUNNEL_RESOURCE_CPU_LIMIT: '500m' }, 8), 1)
  t.equal(threads({ ZTUNNEL_RESOURCE_CPU_LIMIT: '1.5' }, 8), 2)
  t.equal(threads({ ZTUNNEL_RESOURCE_CPU_LIMIT: '1', ZTUNNEL_RESOURCE_CPU_REQUEST: '2500m' }, 8), 3)
  t.equal(threads({ ZTUNNEL_RESOURCE_CPU_REQUEST: '3' }, 2), 3, 'what was asked for was granted')
  t.throws(() => threads({ ZTUNNEL_RESOURCE_CPU_LIMIT: '2Gi' }, 8), { code: 'configuration' })
})
