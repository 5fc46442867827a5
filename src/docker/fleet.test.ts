import t from 'tap'
import { fleetOf } from './fleet.ts'
import type { Container } from './model.ts'
import { aContainer, aSnapshot } from './test-support.ts'

const AMBIENT = { 'istio.io/dataplane-mode': 'ambient' }
const COMPOSE = { 'com.docker.compose.project': 'my_shop', 'com.docker.compose.service': 'web' }

function labelled(name: string, labels: Container['labels'], overrides: Partial<Container> = {}): Container {
  return aContainer(name, { labels: { ...AMBIENT, ...labels }, ...overrides })
}

function messagesOf(...containers: readonly Container[]): readonly string[] {
  return fleetOf(aSnapshot(containers)).problems.map(({ container, message }) => `${container}: ${message}`)
}

t.test('without labels of ours: by name, in namespace default, on the host’s node', async (t) => {
  t.match(fleetOf(aSnapshot([aContainer('My_App')])).members, [
    {
      name: 'my-app',
      namespace: 'default',
      node: 'host-1',
      serviceAccount: 'default',
      service: undefined,
      ambient: true,
    },
  ])
})

t.test('by compose: the project is the namespace, the service the service', async (t) => {
  t.match(fleetOf(aSnapshot([labelled('my_shop-web-1', COMPOSE)])).members, [
    { name: 'my-shop-web-1', namespace: 'my-shop', service: 'web' },
  ])
  const oneOff = labelled('my_shop-web-run-1', { ...COMPOSE, 'com.docker.compose.oneoff': 'True' })
  t.match(fleetOf(aSnapshot([oneOff])).members, [{ service: undefined }], 'of compose run: no endpoint')
})

t.test('by our labels, which win', async (t) => {
  const own = {
    'ztunnel.name': 'front',
    'ztunnel.namespace': 'shop',
    'ztunnel.node': 'node-b',
    'ztunnel.service-account': 'web',
    'ztunnel.service': 'frontend',
    'ztunnel.ports': '80:8080/http, 9090/grpc',
  }
  t.match(fleetOf(aSnapshot([labelled('x', { ...COMPOSE, ...own })])).members, [
    {
      name: 'front',
      namespace: 'shop',
      node: 'node-b',
      serviceAccount: 'web',
      service: 'frontend',
      ports: [
        { port: 80, targetPort: 8080, appProtocol: 'http' },
        { port: 9090, targetPort: 9090, appProtocol: 'grpc' },
      ],
    },
  ])
})

t.test('a container without a label of the contract is none of the mesh’s business', async (t) => {
  const fleet = fleetOf(aSnapshot([aContainer('db', { labels: COMPOSE, networkMode: 'host' })]))
  t.strictSame(fleet, { members: [], refused: [], problems: [] })
})

t.test(
  'refused, with the reason: no network of its own, names that cannot be, ports that are none',
  async (t) => {
    const owner = aContainer('owner')
    const stranger = aContainer('stranger', { labels: {} })
    t.match(
      messagesOf(
        owner,
        stranger,
        aContainer('a', { networkMode: 'host' }),
        aContainer('b', { networkMode: 'none' }),
        aContainer('c', { networkMode: `container:${owner.id}` }),
        aContainer('d', { networkMode: `container:${stranger.id}` }),
        aContainer('e', { networkMode: 'container:gone' }),
        labelled('f', { 'ztunnel.namespace': 'Shop_1' }),
        labelled('g', { 'ztunnel.ports': '80:http' }),
        labelled('h', { 'ztunnel.ports': '80,80:81' }),
      ),
      [
        "a: not in the mesh: it is in the host's network, which is never captured; give it a network of its own",
        'b: not in the mesh: it has no network (network mode "none"); give it one',
        /^c: not in the mesh: it shares the network of container owner and is in the mesh as that one/,
        /^d: not in the mesh: it shares the network of container stranger, which is not in the mesh/,
        /^e: not in the mesh: it shares the network of a container that is gone/,
        /^f: not in the mesh: "Shop_1" is no name for ztunnel\.namespace/,
        /^g: not in the mesh: label ztunnel\.ports: "80:http" is no port; expected SERVICE-PORT/,
        /^h: not in the mesh: label ztunnel\.ports: port 80 is there twice/,
      ],
    )
  },
)

t.test('of two with one name the older has it', async (t) => {
  const older = labelled('a', { 'ztunnel.name': 'web' }, { created: '2026-01-01T00:00:00Z' })
  const newer = labelled('b', { 'ztunnel.name': 'web' })
  const { members, refused } = fleetOf(aSnapshot([newer, older]))
  t.match(members, [{ container: { name: 'a' } }])
  t.match(refused, [
    { container: { name: 'b' }, reason: /default\/web is what container a is called too, which is older/ },
  ])
})

t.test('slips in labels are told, also of containers that are not in the mesh', async (t) => {
  const of = (labels: Container['labels']) => messagesOf(aContainer('x', { labels }))
  t.match(of({ 'istio.io/dataplane-modes': 'ambient' }), [
    'x: label istio.io/dataplane-modes is not known and has no effect: is istio.io/dataplane-mode meant?',
  ])
  t.match(of({ 'itsio.io/dataplane-mode': 'ambient' }), [/is istio\.io\/dataplane-mode meant\?/])
  t.match(of({ 'istio.io/dataplane-mode': 'Ambient' }), [
    /"Ambient" is no value that is known; expected ambient or none: is ambient meant\?/,
  ])
  t.match(of({ 'ztunnel.serviceaccount': 'x' }), [/is ztunnel\.service-account meant\?/])
  t.match(of({ 'ztunnel.colour': 'x' }), [
    /label ztunnel\.colour is not known and has no effect; there are ztunnel\.node, /,
  ])
  t.match(of({ 'topology.istio.io/network': 'n' }), [/has no effect/])
  t.match(messagesOf(aContainer('x', { imageLabels: ['istio.io/dataplane-mode', 'maintainer'] })), [
    /^x: label istio\.io\/dataplane-mode is the image's, and an image's labels do not count/,
  ])
  t.strictSame(of({ app: 'x', version: 'v1', 'org.opencontainers.image.title': 'x', ...COMPOSE }), [])
})

t.test('first the addresses of the network that most are in, or of the one that is named', async (t) => {
  const both = [
    { name: 'alone', id: 'n1', addresses: ['10.1.0.2'] },
    { name: 'shared', id: 'n2', addresses: ['10.2.0.2', 'fd00::2'] },
  ]
  const client = aContainer('client', { networks: [{ name: 'shared', id: 'n2', addresses: ['10.2.0.3'] }] })
  const addresses = (labels: Container['labels']) =>
    fleetOf(aSnapshot([client, labelled('web', labels, { networks: both })])).members.find(
      ({ name }) => name === 'web',
    )?.addresses
  t.strictSame(addresses({}), ['10.2.0.2', 'fd00::2', '10.1.0.2'])
  t.strictSame(addresses({ 'ztunnel.network': 'alone' }), ['10.1.0.2', '10.2.0.2', 'fd00::2'])
})
