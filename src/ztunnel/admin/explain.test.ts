import t from 'tap'
import { MeshStore, serviceKey } from '../../mesh/index.ts'
import { aPort, aService, aWorkload } from '../../mesh/test-support.ts'
import { TEST_SETTINGS } from '../proxy/test-support.ts'
import { type ExplainAnswer, type ExplainOptions, explain } from './explain.ts'

const web = aService({ name: 'web', addresses: [{ network: '', address: '10.96.0.1' }] })
const many = aService({ name: 'many', namespace: 'other', ports: [aPort(80, 80), aPort(90, 90)] })
const headless = aService({ name: 'headless', addresses: [] })
const pod = aWorkload({
  name: 'pod',
  addresses: ['10.0.0.2', 'fd00::2'],
  services: new Map([web, headless].map((service) => [serviceKey(service), []])),
})

function options(overrides: Partial<ExplainOptions> = {}): ExplainOptions {
  const mesh = new MeshStore()
  for (const workload of [aWorkload(), pod]) mesh.upsertWorkload(workload)
  for (const service of [web, many, headless]) mesh.upsertService(service)
  const names = { clusterDomain: 'cluster.local', clusterId: 'Kubernetes', nodeName: 'n1' }
  return { mesh, settings: TEST_SETTINGS, random: () => 0, ...names, ...overrides }
}

const ask = (destination: string, source = 'default/client'): Promise<ExplainAnswer> =>
  explain(options(), source, destination)

t.test('a destination may be said in every way that a person has at hand', async (t) => {
  for (const [text, means] of [
    ['8.8.8.8:53', '8.8.8.8:53'],
    ['[fd00::2]:80', '[fd00::2]:80'],
    ['::ffff:10.0.0.2:80', undefined],
    ['[::ffff:10.0.0.2]:80', '10.0.0.2:80'],
    ['web.default.svc.cluster.local:80', '10.96.0.1:80'],
    ['web.default.svc:80', '10.96.0.1:80'],
    ['web.default:80', '10.96.0.1:80'],
    ['web:80', '10.96.0.1:80'],
    ['web', '10.96.0.1:80'],
    ['many.other:90', '10.96.0.1:90'],
    ['headless:80', '10.0.0.2:80'],
    ['default/pod:8080', '10.0.0.2:8080'],
  ] as const) {
    const answer = await ask(text)
    t.equal(answer.status === 200 ? answer.explanation.destination : undefined, means, text)
  }
})

t.test('a question that makes no sense gets an answer that says what would', async (t) => {
  for (const [text, status, message] of [
    ['10.0.0.2', 400, /needs a port/],
    ['10.0.0.2:0', 400, /1 to 65535/],
    ['10.0.0.2:http', 400, /1 to 65535/],
    ['many.other', 400, /has the ports 80, 90/],
    ['default/pod', 400, /default\/pod:80/],
    ['default/nobody:80', 404, /no workload default\/nobody/],
    ['nobody:80', 404, /no service nobody/],
    ['many:80', 404, /namespace default sees/],
    ['', 404, /no service/],
  ] as const) {
    t.match(await ask(text), { status, message }, text)
  }
  for (const source of ['client', 'default/nobody', 'a/b/c', '']) {
    t.match(await ask('web:80', source), { status: 404, message: /must be namespace\/pod/ })
  }
})

t.test('a pod of another node is explained, with the word of caution', async (t) => {
  const answer = await explain(options({ nodeName: 'n2' }), 'default/client', 'web:80')
  t.match(answer, { explanation: { notes: [/this proxy serves n2/] } })
})

t.test('with on-demand xDS it asks for what the connection would ask for', async (t) => {
  const mesh = new MeshStore()
  mesh.upsertWorkload(aWorkload())
  const demand = async (name: string): Promise<void> => {
    if (name === 'default/web.default.svc.cluster.local') {
      mesh.upsertService(web)
      mesh.upsertWorkload(pod)
    }
  }
  t.match(await explain(options({ mesh, demand }), 'default/client', 'web:80'), {
    explanation: { route: { kind: 'hbone', workload: pod.uid } },
  })
})
