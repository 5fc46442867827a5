import '../support/own-namespaces.ts'
import t from 'tap'
import { type MeshLab, startLab } from '../../src/lab/mesh-lab.ts'
import { certificatesOf } from '../support/certificates.ts'
import { startLongTransfer, startSteadyConnections } from '../support/client-program.ts'
import { until } from '../support/until.ts'

const PROXIES = ['node-a', 'node-b']

interface Failure {
  readonly began: number
  readonly ended: number
}

// It waits for certificates to expire.
t.setTimeout(180_000)

t.test(
  'the CA is away until certificates end: they serve to their end, and its return suffices',
  async (t) => {
    await using lab = await startLab({ svidTtl: '20s' })
    const target = lab.resolve({ to: 'bar-1/httpbin', by: 'service', port: 'tcp' })
    const transfer = await startLongTransfer(lab, 'foo/sleep', target)
    const steady = await startSteadyConnections(lab, 'foo/sleep', target, { atOnce: 1, pauseMs: 50 })

    // No longer than half a life: nobody need notice.
    await lab.stopConfigServer()
    const dueAt = (await lifetimes(lab)).firstEnd - 10_000
    await until(() => Date.now() > dueAt, 'renewals that fail', 30_000)
    await lab.startConfigServer()
    const missed = await lifetimes(lab)
    await until(
      async () => (await lifetimes(lab)).firstEnd > missed.lastEnd,
      'every certificate to be renewed after all',
      40_000,
    )

    // Beyond the end.
    await lab.stopConfigServer()
    const { firstEnd, lastEnd } = await lifetimes(lab)
    await until(() => Date.now() > lastEnd, 'the end of every certificate', 40_000)
    const denied = await lab.get('foo/sleep', { to: 'bar-1/httpbin', by: 'pod', port: 'http' })
    t.not(denied.status, 200, 'without a valid certificate there is no connection')
    const said = () => lab.proxyLogs().some(({ error }) => /identity error.*CA http/s.test(error ?? ''))
    await until(said, 'the access log to name the identity and the CA')
    const returning = Date.now()
    await lab.startConfigServer()
    await until(
      async () =>
        (await lab.get('foo/sleep', { to: 'bar-1/httpbin', by: 'pod', port: 'http' })).status === 200,
      'connections as before, with no proxy started again',
      40_000,
    )
    const recovered = Date.now()
    await until(
      async () => (await lifetimes(lab)).firstEnd > recovered,
      'a certificate for every identity',
      40_000,
    )
    const settled = Date.now()
    const once = await lab.get('foo/sleep', { to: 'bar-1/httpbin', by: 'service', port: 'http' })
    t.equal(once.status, 200)

    const report = await steady.finish()
    const failures = report['failures'] as readonly Failure[]
    t.same(
      failures.filter(({ ended, began }) => ended < firstEnd || began > settled),
      [],
      `of ${report['made']} connections none failed before the first certificate ended, or after the return`,
    )
    t.ok(failures.length > 0, `${failures.length} failed while there was none: ${report['errors']}`)
    t.comment(`served again ${recovered - returning} ms after the CA was started`)
    const result = await transfer.finish()
    t.equal(result['error'], undefined)
    t.equal(result['sha256'], result['expected'], 'an open connection outlives its certificate')
  },
)

/** Of the certificates of both proxies: when the first ends, and the last. Without any, the past. */
async function lifetimes(lab: MeshLab): Promise<{ firstEnd: number; lastEnd: number }> {
  const dumps = (await Promise.all(PROXIES.map((proxy) => certificatesOf(lab, proxy)))).flat()
  const ends = dumps.map(({ chain }) => chain[0]?.expires ?? 0)
  return { firstEnd: Math.min(...ends), lastEnd: Math.max(...ends) }
}
