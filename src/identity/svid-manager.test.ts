import t from 'tap'
import type { SpiffeId } from './spiffe-id.ts'
import type { Svid } from './svid.ts'
import { renewalDelayMs, SvidManager, type SvidManagerOptions } from './svid-manager.ts'
import { ManualClock, newAuthority, settled, workloadId } from './test-support.ts'

const A = workloadId('a')

/** A CA under the test's control: each fetch waits until it is answered. */
class ControlledCa {
  readonly clock = new ManualClock(Date.UTC(2030, 0, 1))
  readonly calls: { id: SpiffeId; signal: AbortSignal; answer: (outcome: Svid | Error) => void }[] = []
  readonly #authority = newAuthority(() => this.clock.now())

  readonly fetch = (id: SpiffeId, signal: AbortSignal): Promise<Svid> => {
    const { promise, resolve, reject } = Promise.withResolvers<Svid>()
    const answer = (outcome: Svid | Error): void =>
      outcome instanceof Error ? reject(outcome) : resolve(outcome)
    this.calls.push({ id, signal, answer })
    return promise
  }

  manager(options: Partial<SvidManagerOptions> = {}): SvidManager {
    return new SvidManager({ fetch: this.fetch, clock: this.clock, random: () => 0.5, ...options })
  }

  async issue(id: SpiffeId, ttlSeconds: number): Promise<Svid> {
    return (await this.#authority).issueSvid(id, ttlSeconds)
  }

  async answerLast(ttlSeconds: number): Promise<Svid> {
    const call = this.calls.at(-1)
    if (call === undefined) throw new Error('nobody asked')
    const svid = await this.issue(call.id, ttlSeconds)
    call.answer(svid)
    await settled()
    return svid
  }

  async failLast(message: string): Promise<void> {
    this.calls.at(-1)?.answer(new Error(message))
    await settled()
  }
}

t.test('callers of one identity share one fetch', async (t) => {
  const ca = new ControlledCa()
  const manager = ca.manager()
  const [first, second] = [manager.get(A), manager.get(A)]
  t.equal(manager.peek(A), undefined)
  const svid = await ca.answerLast(3_600)
  t.equal(await first, svid)
  t.equal(await second, svid)
  t.equal(manager.peek(A), svid)
  t.equal(ca.calls.length, 1)
})

t.test('renewed when half of the life that is left has passed, 20 s certificates too', async (t) => {
  const ca = new ControlledCa()
  const manager = ca.manager()
  const rotated: Svid[] = []
  const stop = manager.onRotate(A, (svid) => rotated.push(svid))
  manager.prefetch(A)
  const first = await ca.answerLast(20)
  await ca.clock.advance(9_999)
  t.equal(ca.calls.length, 1)
  await ca.clock.advance(1)
  t.equal(ca.calls.length, 2)
  t.equal(await manager.get(A), first, 'the old one serves meanwhile')
  const second = await ca.answerLast(20)
  t.equal(await manager.get(A), second)
  t.same(
    rotated.map((svid) => svid.serialNumber),
    [first.serialNumber, second.serialNumber],
  )
  stop()
  await ca.clock.advance(10_000)
  await ca.answerLast(20)
  t.equal(rotated.length, 2)
})

t.test('half life of long certificates does not overflow, of dead ones does not spin', async (t) => {
  const day = 86_400_000
  const at = (notBefore: number, notAfter: number) => ({
    notBefore: new Date(notBefore),
    notAfter: new Date(notAfter),
  })
  t.equal(renewalDelayMs(at(0, 90 * day), 0), 45 * day)
  t.equal(renewalDelayMs(at(0, 1_000), 999), 250)
  t.equal(renewalDelayMs(at(5_000, 15_000), 0), 10_000, 'not yet valid by our clock')
})

t.test('a failed renewal keeps the old certificate, retries with backoff, and at its end', async (t) => {
  const ca = new ControlledCa()
  const manager = ca.manager()
  manager.prefetch(A)
  const svid = await ca.answerLast(8)
  await ca.clock.advance(4_000)
  await ca.failLast('down')
  t.equal(await manager.get(A), svid)
  t.same(ca.clock.nextTimers, [1_000])
  await ca.clock.advance(1_000)
  await ca.failLast('down')
  t.same(ca.clock.nextTimers, [2_000])
  await ca.clock.advance(2_000)
  await ca.failLast('down')
  t.same(ca.clock.nextTimers, [1_000], 'not 4 s: the certificate ends before')
  await ca.clock.advance(1_000)
  t.equal(manager.peek(A), undefined)
  await ca.failLast('still down')
  await t.rejects(manager.get(A), { message: 'still down' })
  t.equal(manager.dump()[0]?.state, 'Unavailable: still down')
  await ca.clock.advance(8_000)
  const fresh = await ca.answerLast(60)
  t.equal(await manager.get(A), fresh)
})

t.test('while unavailable each call fails at once; the background retry heals it', async (t) => {
  const ca = new ControlledCa()
  const manager = ca.manager()
  const waiting = manager.get(A)
  await settled()
  ca.failLast('refused')
  await t.rejects(waiting, { message: 'refused' })
  await t.rejects(manager.get(A), { message: 'refused' })
  t.equal(ca.calls.length, 1, 'no retry on demand')
  await ca.clock.advance(1_000)
  t.equal(ca.calls.length, 2)
  const svid = await ca.answerLast(60)
  t.equal(await manager.get(A), svid)
})

t.test('an expired certificate is never handed out, even when a timer is late', async (t) => {
  const ca = new ControlledCa()
  const manager = ca.manager()
  manager.prefetch(A)
  await ca.answerLast(20)
  await ca.clock.advance(10_000)
  t.equal(ca.calls.length, 2, 'the renewal hangs')
  await ca.clock.advance(10_001)
  t.equal(manager.peek(A), undefined)
  const waiting = manager.get(A)
  const fresh = await ca.answerLast(20)
  t.equal(await waiting, fresh)
})

t.test('a certificate that comes expired is a failure, not a loop', async (t) => {
  const ca = new ControlledCa()
  const manager = ca.manager()
  const waiting = manager.get(A)
  const stale = await ca.issue(A, 10)
  await ca.clock.advance(10_000)
  ca.calls[0]?.answer(stale)
  await t.rejects(waiting, { code: 'EXPIRED', message: /compare this machine's clock/ })
  t.same(ca.clock.nextTimers, [1_000])
})

t.test('after a long absence of the CA the first caller tries anew, and gets its certificate', async (t) => {
  const ca = new ControlledCa()
  const manager = ca.manager()
  manager.prefetch(A)
  for (let failure = 0; failure < 6; failure++) {
    await ca.failLast('down')
    await ca.clock.advance(ca.clock.nextTimers[0] ?? 0)
  }
  await ca.failLast('down')
  t.same(ca.clock.nextTimers, [64_000], 'the next attempt is far away')
  const asked = ca.calls.length
  await ca.clock.advance(4_999)
  await t.rejects(manager.get(A), { message: 'down' }, 'a fresh failure is the answer')
  t.equal(ca.calls.length, asked)
  await ca.clock.advance(1)
  const callers = [manager.get(A), manager.get(A)]
  await settled()
  t.equal(ca.calls.length, asked + 1, 'one attempt for all')
  const svid = await ca.answerLast(3_600)
  t.same(await Promise.all(callers), [svid, svid])
  t.same(ca.clock.nextTimers, [1_800_000], 'the attempt that was due is not made as well')
})

t.test('a workload that comes makes a refused identity be asked for again at once', async (t) => {
  const ca = new ControlledCa()
  const manager = ca.manager()
  manager.prefetch(A)
  await ca.failLast('no workload of this identity runs on the node')
  manager.prefetch(A)
  await settled()
  t.equal(ca.calls.length, 2)
  manager.prefetch(A)
  await settled()
  t.equal(ca.calls.length, 2, 'not twice')
  const svid = await ca.answerLast(3_600)
  t.equal(await manager.get(A), svid)
  manager.prefetch(A)
  await settled()
  t.equal(ca.calls.length, 2, 'one that is there is left alone')
})

t.test('at most eight at once; callers before prefetches before renewals', async (t) => {
  const ca = new ControlledCa()
  const manager = ca.manager({ maxConcurrent: 1 })
  for (const name of ['running', 'w1', 'w2', 'w3']) manager.prefetch(workloadId(name))
  manager.get(workloadId('late-background'), { priority: 'background' }).catch(() => {})
  manager.get(workloadId('caller')).catch(() => {})
  manager.get(workloadId('w2')).catch(() => {})
  for (let i = 0; i < 5; i++) await ca.answerLast(3_600)
  t.same(
    ca.calls.map((call) => call.id.serviceAccount),
    ['running', 'caller', 'w2', 'w1', 'w3', 'late-background'],
  )
  const many = new ControlledCa()
  const busy = many.manager()
  for (let i = 0; i < 20; i++) busy.prefetch(workloadId(`w${i}`))
  t.equal(many.calls.length, 8)
  busy.close()
})

t.test('a fetch that never answers gives up its place', async (t) => {
  const ca = new ControlledCa()
  const manager = ca.manager({ maxConcurrent: 1 })
  const stuck = manager.get(A)
  stuck.catch(() => {})
  manager.prefetch(workloadId('next'))
  await ca.clock.advance(60_000)
  await t.rejects(stuck, { code: 'SIGNING_FAILED', message: /no answer from the CA/ })
  t.equal(ca.calls[0]?.signal.aborted, true)
  t.equal(ca.calls[1]?.id.serviceAccount, 'next')
})

t.test('forgetting ends waits, fetches and renewals', async (t) => {
  const ca = new ControlledCa()
  const manager = ca.manager()
  const waiting = manager.get(A)
  manager.forget(A)
  await t.rejects(waiting, { code: 'FORGOTTEN', message: 'the identity is no longer needed' })
  t.equal(ca.calls[0]?.signal.aborted, true)
  await ca.answerLast(20)
  t.same(manager.dump(), [], 'a late answer is dropped')
  manager.prefetch(A)
  await ca.answerLast(20)
  manager.forget(A)
  t.same(ca.clock.nextTimers, [])
})

t.test('one caller can stop waiting without stopping the others', async (t) => {
  const ca = new ControlledCa()
  const manager = ca.manager()
  const controller = new AbortController()
  const impatient = manager.get(A, { signal: controller.signal })
  const patient = manager.get(A)
  controller.abort(new Error('enough'))
  await t.rejects(impatient, { message: 'enough' })
  const svid = await ca.answerLast(60)
  t.equal(await patient, svid)
})

t.test('a rotation callback that throws harms nobody', async (t) => {
  const ca = new ControlledCa()
  const manager = ca.manager()
  let called = 0
  manager.onRotate(A, () => {
    throw new Error('bad listener')
  })
  manager.onRotate(A, () => called++)
  manager.prefetch(A)
  await ca.answerLast(60)
  t.equal(called, 1)
  t.not(manager.peek(A), undefined)
})

t.test('the dump is sorted and shows chain and roots, no key', async (t) => {
  const ca = new ControlledCa()
  const manager = ca.manager()
  manager.prefetch(workloadId('b'))
  const svid = await ca.answerLast(60)
  manager.prefetch(A)
  const [a, b] = manager.dump()
  t.match(a, {
    identity: 'spiffe://cluster.local/ns/default/sa/a',
    state: 'Initializing',
    certChain: [],
    rootCerts: [],
  })
  t.match(b, { identity: 'spiffe://cluster.local/ns/default/sa/b', state: 'Available' })
  t.equal(b?.certChain.length, 2)
  t.equal(b?.rootCerts.length, 1)
  t.match(b?.certChain[0], {
    pem: Buffer.from(svid.certificateChain[0] ?? '').toString('base64'),
    serialNumber: svid.serialNumber,
    validFrom: '2029-12-31T23:58:00Z',
    expirationTime: '2030-01-01T00:01:00Z',
  })
  t.notMatch(JSON.stringify(b), Buffer.from('PRIVATE KEY').toString('base64').slice(0, 12))
})

t.test('closed: waits end, nothing starts', async (t) => {
  const ca = new ControlledCa()
  const manager = ca.manager()
  const waiting = manager.get(A)
  manager.close()
  await t.rejects(waiting, { code: 'CLOSED' })
  await t.rejects(manager.get(A), { code: 'CLOSED' })
  manager.prefetch(workloadId('b'))
  t.equal(ca.calls.length, 1)
})
