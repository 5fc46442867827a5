import fc from 'fast-check'
import t from 'tap'
import { chooseEndpoint, chooseWeighted, type LoadBalanceInput } from './load-balancer.ts'
import { routingRank } from './locality.ts'
import type { Endpoint } from './mesh-view.ts'
import type { LoadBalancing, RoutingScope, Workload } from './model.ts'
import { aPort, aService, aWorkload } from './test-support.ts'

const source = aWorkload({ network: 'n', node: 'n1', locality: { region: 'r', zone: 'z', subzone: 's' } })

const endpoint = (
  name: string,
  overrides: Partial<Workload> = {},
  ports: [number, number][] = [],
): Endpoint => ({
  workload: aWorkload({ ...source, name, uid: name, ...overrides }),
  ports: new Map(ports),
})

function choose(endpoints: readonly Endpoint[], overrides: Partial<LoadBalanceInput> = {}): string {
  const result = chooseEndpoint({
    service: aService(),
    endpoints,
    source,
    port: 80,
    resolution: 'standard',
    random: () => 0,
    ...overrides,
  })
  return result.kind === 'chosen' ? `${result.workload.name}:${result.port}` : result.kind
}

/** Every endpoint that some random number chooses. */
function reachable(endpoints: readonly Endpoint[], loadBalancing: Partial<LoadBalancing>): string[] {
  const service = aService({
    loadBalancing: {
      mode: 'STANDARD',
      routingPreference: [],
      healthPolicy: 'ONLY_HEALTHY',
      ...loadBalancing,
    },
  })
  const chosen = new Set<string>()
  for (let i = 0; i < 100; i++) chosen.add(choose(endpoints, { service, random: () => i / 100 }))
  chosen.delete('none')
  return [...chosen].map((name) => name.replace(/:.*/, ''))
}

t.test('3.11 ports', async (t) => {
  const plain = endpoint('a')
  t.equal(choose([plain]), 'a:8080', "the service's target port")
  t.equal(choose([endpoint('a', {}, [[80, 9090]])]), 'a:9090', "the endpoint's own mapping wins")
  t.equal(choose([plain], { port: 81 }), 'none', 'standard: the service must list the port')
  t.equal(choose([endpoint('a', {}, [[81, 9]])], { port: 81 }), 'none', 'even where the endpoint maps it')
  const named = { service: aService({ ports: [aPort(80, 0)] }) }
  t.equal(choose([plain], named), 'none', 'a named port needs the mapping')
  t.equal(choose([plain, endpoint('b', {}, [[80, 7]])], named), 'b:7')
})

t.test('3.11 waypoint resolution', async (t) => {
  const tunnelled = endpoint('a', { applicationTunnel: { protocol: 'PROXY', port: 15_088 } })
  const waypoint = { port: 15_008, resolution: 'waypoint' as const }
  t.equal(choose([tunnelled], waypoint), 'a:15008', 'an application tunnel needs no listed port')
  t.equal(choose([endpoint('a')], waypoint), 'none')
  t.equal(choose([tunnelled], { ...waypoint, resolution: 'standard' }), 'none')
  const listed = { ...waypoint, service: aService({ ports: [aPort(15_008, 15_008)] }) }
  t.equal(choose([endpoint('a')], listed), 'a:15008')
  const portless = endpoint('a', { applicationTunnel: { protocol: 'PROXY', port: undefined } })
  t.equal(choose([portless], waypoint), 'none', 'a tunnel without a port of its own')
})

t.test('3.11 endpoints without an address', async (t) => {
  const bare = { addresses: [] }
  t.equal(choose([endpoint('a', bare)]), 'none')
  t.equal(choose([endpoint('a', { ...bare, hostname: 'a.example' })]), 'a:8080')
  const networkGateway = { kind: 'address' as const, network: 'm', address: '1.2.3.4', hboneMtlsPort: 15_008 }
  t.equal(choose([endpoint('a', { ...bare, networkGateway })]), 'none', 'a gateway helps only from elsewhere')
  t.equal(choose([endpoint('a', { ...bare, networkGateway, network: 'm' })]), 'a:8080')
  t.equal(choose([endpoint('a', { ...bare, network: 'm' })]), 'none')
})

t.test('3.11 capacity', async (t) => {
  const endpoints = [endpoint('none', { capacity: 0 }), endpoint('one'), endpoint('three', { capacity: 3 })]
  const count = { one: 0, three: 0 }
  for (let i = 0; i < 100; i++) {
    const name = choose(endpoints, { random: () => i / 100 }).replace(/:.*/, '')
    if (name === 'one' || name === 'three') count[name]++
  }
  t.same(count, { one: 25, three: 75 })
  t.equal(choose([endpoint('a', { capacity: 0 })]), 'none', 'all zero')
  t.equal(choose([]), 'none')
})

t.test('3.11 modes', async (t) => {
  const near = endpoint('near')
  const zone = endpoint('zone', { locality: { region: 'r', zone: 'z', subzone: 'x' } })
  const region = endpoint('region', { locality: { region: 'r', zone: 'x', subzone: 's' } })
  const far = endpoint('far', { locality: { region: 'x', zone: 'z', subzone: 's' } })
  const routingPreference: RoutingScope[] = ['REGION', 'ZONE', 'SUBZONE']
  const all = [near, zone, region, far]
  t.same(reachable(all, { mode: 'STANDARD', routingPreference }), ['near', 'zone', 'region', 'far'])
  t.same(reachable(all, { mode: 'FAILOVER', routingPreference }), ['near'])
  t.same(reachable([far, region, zone], { mode: 'FAILOVER', routingPreference }), ['zone'])
  t.same(reachable([far, region], { mode: 'FAILOVER', routingPreference }), ['region'])
  t.same(reachable([far], { mode: 'FAILOVER', routingPreference }), ['far'], 'rather far than none')
  t.same(reachable(all, { mode: 'STRICT', routingPreference }), ['near'])
  t.same(reachable([zone, region, far], { mode: 'STRICT', routingPreference }), [])
  t.same(reachable([far, region], { mode: 'STRICT', routingPreference: [] }), ['far', 'region'])
})

t.test('istio 1.7 internalTrafficPolicy Local is [NODE] STRICT', async (t) => {
  const local = { mode: 'STRICT', routingPreference: ['NODE'] } as const
  t.same(reachable([endpoint('a', { node: 'n2' }), endpoint('b')], local), ['b'])
})

t.test('3.11 scopes stand alone and empty equals empty', async (t) => {
  const full = (scope: RoutingScope, overrides: Partial<Workload>): boolean =>
    routingRank([scope], source, aWorkload({ ...source, ...overrides })).full
  t.ok(full('ZONE', { locality: { region: 'other', zone: 'z', subzone: '' } }))
  t.ok(full('CLUSTER', { node: 'other' }))
  t.notOk(full('CLUSTER', { clusterId: 'other' }))
  t.notOk(full('NODE', { node: 'other' }))
  t.notOk(full('NETWORK', { network: 'other' }))
  t.notOk(full('SUBZONE', { locality: { region: 'r', zone: 'z', subzone: '' } }))
  const nowhere = aWorkload({ node: '' })
  t.ok(routingRank(['NODE', 'REGION'], nowhere, nowhere).full)
})

t.test('3.11 NETWORK first has its own ranking (surprise 15)', async (t) => {
  const at = (network: string, region: string, zone: string): number =>
    routingRank(
      ['NETWORK', 'REGION', 'ZONE'],
      source,
      aWorkload({ network, locality: { region, zone, subzone: '' } }),
    ).rank
  const ranks = [
    at('n', 'r', 'z'),
    at('n', 'r', 'x'),
    at('n', 'x', 'x'),
    at('m', 'r', 'z'),
    at('m', 'r', 'x'),
    at('m', 'x', 'x'),
  ]
  t.same(ranks, [5, 4, 3, 2, 1, 0])
  t.equal(at('m', 'x', 'z'), 0, 'a zone without its region does not count')
  const remote = aWorkload({ ...source, network: 'm' })
  t.notOk(routingRank(['NETWORK', 'REGION'], source, remote).full, 'STRICT takes full matches only')
  t.equal(
    routingRank(['REGION', 'NETWORK', 'ZONE'], source, remote).rank,
    1,
    'elsewhere NETWORK is a scope like others',
  )
})

t.test('a weighted choice never takes weight 0 and always takes something else', async (t) => {
  const weights = fc.array(fc.nat(3), { minLength: 1, maxLength: 6 })
  fc.assert(
    fc.property(weights, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (weights, random) => {
      const items = weights.map((weight) => ({ weight }))
      const chosen = chooseWeighted(
        items,
        ({ weight }) => weight,
        () => random,
      )
      return weights.some((weight) => weight > 0) ? (chosen?.weight ?? 0) > 0 : chosen === undefined
    }),
  )
  t.equal(
    chooseWeighted(
      [1, 2],
      (n) => n,
      () => 1,
    ),
    2,
    'a random source that reaches 1 does no harm',
  )
})

t.test('why there is no endpoint', async (t) => {
  const reason = (endpoints: readonly Endpoint[], overrides: Partial<LoadBalanceInput> = {}): string =>
    chooseEndpoint({
      service: aService(),
      endpoints,
      source,
      port: 80,
      resolution: 'standard',
      random: () => 0,
      ...overrides,
    }).reason
  const strict = aService({
    loadBalancing: { mode: 'STRICT', routingPreference: ['NODE'], healthPolicy: 'ONLY_HEALTHY' },
  })
  t.match(reason([]), /has no healthy endpoint/)
  t.match(reason([], { port: 81 }), /has no port 81/)
  t.match(reason([endpoint('a', { addresses: [] })]), /none of 1 endpoints .* has an address and port 80/)
  t.match(reason([endpoint('a', { node: 'x' })], { service: strict }), /in the client's NODE/)
  t.match(reason([endpoint('a', { capacity: 0 })]), /have capacity 0/)
})
