import t from 'tap'
import { createInMemoryCa } from './ca-create.ts'
import { CertificateAuthority } from './certificate-authority.ts'
import { packSvid, unpackSvid } from './packed-svid.ts'
import type { Svid } from './svid.ts'
import { SvidReplica } from './svid-replica.ts'

const ID = { trustDomain: 'cluster.local', namespace: 'foo', serviceAccount: 'sleep' }

t.test('an SVID that was packed, cloned and unpacked is the same one, key included', async (t) => {
  const svid = await issue()
  const copy = unpackSvid(structuredClone(packSvid(svid)))
  t.same(copy.certificateChain, svid.certificateChain)
  t.same(copy.roots, svid.roots)
  t.equal(copy.serialNumber, svid.serialNumber)
  t.equal(String(copy.serverOptions().key), String(svid.serverOptions().key))
})

t.test('asked for once, however many wait; renewals replace it and are told', async (t) => {
  const [first, second] = [await issue(), await issue()]
  const asked = Promise.withResolvers<Svid>()
  let calls = 0
  const replica = new SvidReplica({
    fetch: () => {
      calls++
      return asked.promise
    },
  })
  const rotated: Svid[] = []
  const stop = replica.onRotate(ID, (svid) => rotated.push(svid))
  const both = Promise.all([replica.get(ID), replica.get(ID)])
  t.equal(replica.peek(ID), undefined)
  asked.resolve(first)
  t.same(new Set(await both), new Set([first]))
  t.equal(calls, 1)
  replica.put(second)
  t.equal(await replica.get(ID), second)
  t.same(rotated, [second])
  stop()
  replica.put(first)
  t.same(rotated, [second], 'nobody is told who does not listen')
  replica.forget(ID)
  t.equal(replica.peek(ID), undefined)
  t.equal(calls, 1)
})

t.test('one that has ended is asked for again', async (t) => {
  const svid = await issue()
  let now = Date.now()
  let calls = 0
  const replica = new SvidReplica({
    now: () => now,
    fetch: async () => {
      calls++
      return svid
    },
  })
  await replica.get(ID)
  await replica.get(ID)
  t.equal(calls, 1)
  now = svid.notAfter.getTime() + 1
  t.equal(replica.peek(ID), undefined)
  await replica.get(ID)
  t.equal(calls, 2)
})

t.test('a refusal reaches those that wait, and the next one asks anew; a wait can be given up', async (t) => {
  const svid = await issue()
  const answers = [Promise.reject(new Error('the CA said no')), Promise.withResolvers<Svid>().promise, svid]
  const replica = new SvidReplica({ fetch: async () => answers.shift() ?? svid })
  await t.rejects(replica.get(ID), { message: 'the CA said no' })
  const gaveUp = new AbortController()
  const waiting = replica.get(ID, { signal: gaveUp.signal })
  gaveUp.abort(new Error('no longer needed'))
  await t.rejects(waiting, { message: 'no longer needed' })
})

async function issue(): Promise<Svid> {
  const authority = new CertificateAuthority(await createInMemoryCa())
  return authority.issueSvid(ID, 3600)
}
