import fc from 'fast-check'
import t from 'tap'
import { type Baggage, decodeBaggage, encodeBaggage } from './baggage.ts'

const FULL: Baggage = {
  clusterId: 'Kubernetes',
  namespace: 'app',
  workloadType: 'cronjob',
  workloadName: 'report',
  serviceName: 'web',
  serviceVersion: 'v1',
  region: 'eu-west-1',
  zone: 'eu-west-1a',
}

t.test("ztunnel's keys in ztunnel's order", async (t) => {
  const text =
    'k8s.cluster.name=Kubernetes,k8s.namespace.name=app,k8s.cronjob.name=report,service.name=web,' +
    'service.version=v1,cloud.region=eu-west-1,cloud.availability_zone=eu-west-1a'
  t.equal(encodeBaggage(FULL), text)
  t.equal(encodeBaggage({ ...FULL, workloadType: 'CRONJOB' }), text)
  t.same(decodeBaggage(text), FULL)
})

t.test('what is empty or cannot be carried is left out', async (t) => {
  t.equal(encodeBaggage({}), '')
  t.equal(encodeBaggage({ namespace: '', serviceName: 'web' }), 'service.name=web')
  t.equal(
    encodeBaggage({ namespace: 'a,b', serviceName: 'w\r\nx: y', region: 'eu', zone: 'é' }),
    'cloud.region=eu',
  )
})

t.test('reads as ztunnel does', async (t) => {
  t.same(decodeBaggage(undefined), {})
  t.same(decodeBaggage('service.name=a=b'), { serviceName: 'a' }, 'a second = ends the value')
  t.same(decodeBaggage('service.name=a,service.name=b'), { serviceName: 'b' }, 'a later item wins')
  t.same(decodeBaggage('service.name=a, service.name=b'), { serviceName: 'b' }, 'repeated headers merge')
  t.same(decodeBaggage('service.name=a,service.name='), { serviceName: 'a' }, 'empty is unset')
  t.same(decodeBaggage(' service.name=a,SERVICE.NAME=b,other=c'), {}, 'keys are exact')
  t.same(decodeBaggage('service.name=a,k8s.pod.name=b\x80'), {}, 'not ASCII: nothing')
})

t.test('what is written can be read', async () => {
  const value = fc.stringMatching(/^[a-z0-9.-]{1,40}$/)
  const workload = fc.record({
    workloadType: fc.constantFrom('deployment', 'cronjob', 'pod', 'job'),
    workloadName: value,
  })
  const rest = fc.record(
    {
      clusterId: value,
      namespace: value,
      serviceName: value,
      serviceVersion: value,
      region: value,
      zone: value,
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(workload, rest, (a, b) => {
      const baggage = { ...a, ...b } as Baggage
      const again = decodeBaggage(encodeBaggage(baggage))
      const sorted = (of: object): string => JSON.stringify(Object.entries(of).sort())
      return sorted(again) === sorted(baggage)
    }),
  )
})

t.test('no input is an error', async () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => typeof decodeBaggage(text) === 'object'))
})
