import { Socket } from 'node:net'
import t from 'tap'
import { type Svid, SvidManager } from '../../identity/index.ts'
import { ManualClock, newAuthority } from '../../identity/test-support.ts'
import { aWorkload } from '../../mesh/test-support.ts'
import { HboneAcceptor } from './hbone-acceptor.ts'
import { createProxy, createSvids } from './test-support.ts'

t.test('a pod that goes while its certificate is waited for leaves no watcher behind', async (t) => {
  const issued = await createSvids(t)
  const pod = aWorkload({ name: 'pod', addresses: ['127.0.0.1'] })
  const answer = Promise.withResolvers<Svid>()
  const svids = new SvidManager({ fetch: () => answer.promise })
  t.teardown(() => svids.close())
  let watching = 0
  const watch = svids.onRotate.bind(svids)
  svids.onRotate = (id, callback) => {
    watching++
    const stop = watch(id, callback)
    return () => {
      watching--
      stop()
    }
  }
  const { deps } = createProxy(t, svids, pod)
  const acceptor = new HboneAcceptor({ ...deps, onRequest: () => {} })
  const socket = new Socket()
  const source = { address: '127.0.0.2', port: 40_000 }
  const accepted = acceptor.accept({ socket, source, destination: { address: '127.0.0.1', port: 15_008 } })
  acceptor.close()
  const { trustDomain, namespace, serviceAccount } = pod
  answer.resolve(await issued.get({ trustDomain, namespace, serviceAccount }))
  await accepted
  t.equal(socket.destroyed, true, 'nobody serves the connection any more')
  t.equal(watching, 0)
})

t.test(
  'a connection that comes when the certificate has ended makes the CA be asked, and is refused with its answer',
  async (t) => {
    const authority = await newAuthority()
    const clock = new ManualClock()
    let asked = 0
    const svids = new SvidManager({
      clock,
      fetch: (id) => (asked++ === 0 ? authority.issueSvid(id, 20) : Promise.reject(new Error('CA away'))),
    })
    t.teardown(() => svids.close())
    const pod = aWorkload({ name: 'pod', addresses: ['127.0.0.1'] })
    const { deps } = createProxy(t, svids, pod)
    const refusals: string[] = []
    const telemetry: typeof deps.telemetry = Object.create(deps.telemetry, {
      rejectedEarly: { value: ({ error }: { error: string }) => void refusals.push(error) },
    })
    const acceptor = new HboneAcceptor({ ...deps, telemetry, onRequest: () => {} })
    t.teardown(() => acceptor.close())
    const accept = async (): Promise<Socket> => {
      const socket = new Socket()
      const source = { address: '127.0.0.2', port: 40_000 }
      await acceptor.accept({ socket, source, destination: { address: '127.0.0.1', port: 15_008 } })
      return socket
    }
    await accept()
    t.same(refusals, [])
    await clock.advance(20_000)
    await clock.advance(5_000)
    const before = asked
    t.equal((await accept()).destroyed, true)
    t.equal(asked, before + 1)
    t.match(refusals, [/identity error: CA away/])
  },
)
