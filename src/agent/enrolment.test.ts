import t, { type Test } from 'tap'
import { redirectionInPlace } from '../linux/index.ts'
import { addNamespace, ip } from '../linux/test-support.ts'
import type { ZdsPod } from '../zds/index.ts'
import { PodEnrolment } from './enrolment.ts'
import type { Limiter } from './pod-network.ts'
import type { CapturedPod } from './pod-source.ts'
import { recordingLogger } from './test-support.ts'

const NETNS = '/run/netns'

/** A pod in a namespace of its own, which its rules are not yet in, and the ZDS server's end of its enrolment. */
function enrol(t: Test, name: string, limit: Limiter = (task) => task()) {
  addNamespace(name).close()
  const calls: string[] = []
  const captured = Promise.withResolvers<void>()
  const pod: CapturedPod = {
    uid: 'ns/web',
    namespace: 'ns',
    name: 'web',
    serviceAccount: 'sa',
    networkNamespace: `${NETNS}/${name}`,
    redirection: {},
  }
  const zds = {
    async add({ serviceAccount }: ZdsPod) {
      calls.push(`add ${serviceAccount}`)
    },
    async remove() {
      calls.push('remove')
    },
  }
  const enrolment = new PodEnrolment({
    pod,
    zds: () => zds,
    limit,
    watch: () => undefined,
    logger: {
      ...recordingLogger(),
      info: (message) => {
        if (message === 'pod is captured') captured.resolve()
      },
    },
  })
  t.teardown(() => ip('netns', 'del', name))
  return { pod, zds, enrolment, calls, captured: captured.promise }
}

t.test('an answer to the old account is not taken for one to the new', async (t) => {
  const gate = Promise.withResolvers<void>()
  const writing = Promise.withResolvers<void>()
  const { pod, enrolment, calls, captured } = enrol(t, 'ns.account', async (task) => {
    writing.resolve()
    await gate.promise
    return task()
  })
  const running = enrolment.run()
  await writing.promise
  enrolment.want({ ...pod, serviceAccount: 'other' })
  enrolment.snapshotAnswered(pod, '')
  gate.resolve()
  await captured
  t.same(calls, ['remove', 'add other'], 'a proxy would keep the identity that it was told of')
  enrolment.stop()
  await running
})

t.test('a pod that moved and is then released leaves no rules where it was', async (t) => {
  const { pod, enrolment, captured } = enrol(t, 'ns.moved')
  const running = enrolment.run()
  await captured
  t.equal(await redirectionInPlace(pod.networkNamespace), true)
  enrolment.want({ ...pod, networkNamespace: `${NETNS}/ns.elsewhere` })
  enrolment.release()
  await running
  t.equal(await redirectionInPlace(pod.networkNamespace), false)
})

t.test('a proxy that takes a pod and goes at once has not taken it', async (t) => {
  const { zds, enrolment, calls, captured } = enrol(t, 'ns.taken')
  const { add } = zds
  zds.add = async (pod) => {
    await add(pod)
    if (calls.length === 1) enrolment.proxyLost()
  }
  const running = enrolment.run()
  await captured
  t.same(calls, ['add sa', 'add sa'], 'whoever is there next is told')
  enrolment.stop()
  await running
})
