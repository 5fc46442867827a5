import t from 'tap'
import { MeshStore, resolveOutbound, serviceKey } from '../../mesh/index.ts'
import { aPort, aService, atAddress, atHostname, aWorkload } from '../../mesh/test-support.ts'
import { decideOnDemand } from './on-demand.ts'

const source = aWorkload({ name: 'client' })
const waypoints = aService({ name: 'wp', addresses: [], ports: [aPort(15_008, 15_008)] })
const waypoint = aWorkload({
  name: 'wp',
  addresses: ['10.0.0.9'],
  services: new Map([[serviceKey(waypoints), []]]),
})
const service = aService({ waypoint: atHostname(waypoints.hostname) })

/** A control plane that has all of it, and a proxy that knows nothing yet. */
function onDemand() {
  const mesh = new MeshStore()
  const asked: string[] = []
  const demand = async (name: string): Promise<void> => {
    asked.push(name)
    if (name === '/10.96.0.1') mesh.upsertService(service)
    if (name === serviceKey(waypoints)) {
      mesh.upsertService(waypoints)
      mesh.upsertWorkload(waypoint)
    }
    if (name === '/10.0.0.2') {
      mesh.upsertWorkload(
        aWorkload({ name: 'pod', addresses: ['10.0.0.2'], waypoint: atAddress('10.0.0.9') }),
      )
    }
    if (name === '/10.0.0.9') mesh.upsertWorkload({ ...waypoint, services: new Map() })
  }
  const go = (address: string, port: number, ask: typeof demand | undefined = demand, deadlineMs = 5000) => {
    const input = { source, destination: { address, port }, network: '', random: () => 0 }
    const illegalPorts = new Set<number>()
    return decideOnDemand(mesh, ask, (view) => resolveOutbound(view, { ...input, illegalPorts }), deadlineMs)
  }
  return { mesh, asked, go }
}

t.test(
  'a service that is not known yet, and its waypoint, are fetched before the route is decided (10.4)',
  async (t) => {
    const { go, asked } = onDemand()
    t.match(await go('10.96.0.1', 80), { kind: 'hbone', via: 'waypoint', dial: { address: '10.0.0.9' } })
    t.same(asked, ['/10.96.0.1', serviceKey(waypoints)])
    await go('10.96.0.1', 80)
    t.equal(asked.length, 2, 'what is known is not asked for again')
  },
)

t.test('a workload and its waypoint by address (10.4)', async (t) => {
  const { go, asked } = onDemand()
  t.match(await go('10.0.0.2', 8080), { kind: 'hbone', via: 'waypoint' })
  t.same(asked, ['/10.0.0.2', '/10.0.0.9'])
})

t.test('what the control plane does not know either is no mesh traffic', async (t) => {
  const { go, asked } = onDemand()
  t.match(await go('8.8.8.8', 53), { kind: 'passthrough' })
  t.same(asked, ['/8.8.8.8'])
})

t.test('a control plane that does not answer holds a connection up for a bounded time only', async (t) => {
  const { go } = onDemand()
  const never = (): Promise<void> => new Promise(() => {})
  t.match(await go('10.96.0.1', 80, never, 20), { kind: 'passthrough' })
})

t.test('a mesh without an end is not followed for ever', async (t) => {
  const mesh = new MeshStore()
  let asked = 0
  const demand = async (): Promise<void> => void asked++
  await decideOnDemand(mesh, demand, (view) => view.workload(`uid-${asked}`))
  t.ok(asked < 10, `${asked} questions`)
})

t.test('without on-demand there is one decision, on the mesh itself', async (t) => {
  const { mesh } = onDemand()
  t.equal(await decideOnDemand(mesh, undefined, (view) => view), mesh)
})
