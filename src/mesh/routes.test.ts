import t from 'tap'
import type { Workload } from './model.ts'
import type { Route } from './route.ts'
import { endpointRoute, waypointRoute, withResolvedAddress } from './routes.ts'
import { aWorkload } from './test-support.ts'

const named = (overrides: Partial<Workload> = {}): Workload =>
  aWorkload({ name: 'db', addresses: [], hostname: 'db.example', ...overrides })

const endpoint = (workload: Workload, requested = '10.96.0.1'): Route =>
  endpointRoute(
    [],
    { workload, port: 5432, dial: { kind: 'dns', hostname: 'db.example' }, service: undefined },
    undefined,
    requested,
  )

function resolved(route: Route, answers: readonly string[], random = 0): Route {
  if (route.kind !== 'hbone' && route.kind !== 'tcp') throw new Error(route.kind)
  return withResolvedAddress(route, answers, () => random)
}

t.test('3.13 a workload with only a hostname waits for DNS', async (t) => {
  const route = endpoint(named())
  t.match(route, {
    kind: 'hbone',
    dial: { address: 'db.example', port: 15_008 },
    dns: { hostname: 'db.example', family: 4 },
  })
  const done = resolved(route, ['10.1.1.1'])
  t.match(done, { kind: 'hbone', dial: { address: '10.1.1.1', port: 15_008 }, authority: '10.1.1.1:5432' })
  t.notOk('dns' in done)
  t.match(resolved(endpoint(named({ tunnelProtocol: 'NONE' })), ['fd00::1']), {
    kind: 'tcp',
    dial: { address: 'fd00::1', port: 5432 },
  })
})

t.test('3.13 the client’s family first, at random', async (t) => {
  const answers = ['fd00::1', '10.1.1.1', '10.1.1.2']
  t.match(resolved(endpoint(named()), answers, 0), { dial: { address: '10.1.1.1' } })
  t.match(resolved(endpoint(named()), answers, 0.99), { dial: { address: '10.1.1.2' } })
  t.match(resolved(endpoint(named(), 'fd00:96::1'), answers), {
    dial: { address: 'fd00::1' },
    authority: '[fd00::1]:5432',
  })
  t.match(resolved(endpoint(named()), ['fd00::1']), { dial: { address: 'fd00::1' } })
})

t.test('3.13 DNS without an answer', async (t) => {
  t.match(resolved(endpoint(named()), []), {
    kind: 'refused',
    code: 'no-valid-destination',
    message: /^no ip addresses were resolved for workload: Kubernetes\/\/Pod\/default\/db/,
  })
  t.match(resolved(endpoint(named()), ['alias.example']), {
    kind: 'refused',
    message: /had no A\/AAAA records$/,
  })
})

t.test('a waypoint found by DNS is asked for what the client dialled', async (t) => {
  const upstream = {
    workload: named(),
    port: 15_008,
    dial: { kind: 'dns', hostname: 'db.example' },
    service: undefined,
  } as const
  const route = waypointRoute([], upstream, undefined, { address: '10.96.0.1', port: 80 })
  t.match(resolved(route, ['10.1.1.1']), {
    dial: { address: '10.1.1.1', port: 15_008 },
    authority: '10.96.0.1:80',
  })
})

t.test('3.13 neither address nor hostname', async (t) => {
  const upstream = {
    workload: named({ hostname: '' }),
    port: 80,
    dial: { kind: 'none' },
    service: undefined,
  } as const
  t.match(endpointRoute([], upstream, undefined, '10.0.0.1'), {
    code: 'no-valid-destination',
    message: /^no valid routing destination for workload: /,
  })
})

t.test('a route without DNS is complete', async (t) => {
  const upstream = {
    workload: named(),
    port: 80,
    dial: { kind: 'address', address: '10.0.0.1' },
    service: undefined,
  } as const
  const route = endpointRoute([], upstream, undefined, '10.0.0.1')
  t.equal(resolved(route, []), route)
})
