import t from 'tap'
import { rawContainer, ScriptedEngine } from '../docker/test-support.ts'
import { testClient, testMesh, until } from './test-support.ts'

const COMPOSE = { 'com.docker.compose.project': 'demo', 'com.docker.compose.service': 'app' }

/** A container of compose service `demo/app` on port 8080. */
function app(name: string, address: string, fields: Readonly<Record<string, object>> = {}) {
  return rawContainer(name, {
    Config: {
      ExposedPorts: { '8080/tcp': {} },
      Labels: { 'istio.io/dataplane-mode': 'ambient', ...COMPOSE },
    },
    NetworkSettings: { Networks: { demo_default: { NetworkID: 'net-1', IPAddress: address } } },
    ...fields,
  })
}

const POLICY = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: deny, namespace: demo }
spec: { selector: { matchLabels: { app: app } }, action: DENY, rules: [{ to: [{ operation: { ports: ["8080"] } }] }] }
`
const OWN_SERVICE = `apiVersion: v1
kind: Service
metadata: { name: app, namespace: demo }
spec: { clusterIP: 10.96.0.7, selector: { app: app }, ports: [{ port: 9999, targetPort: 8080 }] }
`

t.test(
  'containers are workloads, their services have an address, policies come from the folder',
  async (t) => {
    const engine = await ScriptedEngine.start(t)
    const one = app('app-1', '172.18.0.2')
    engine.put(one)
    const mesh = testMesh(t, { 'policy.yaml': POLICY })
    const server = await mesh.start({ docker: engine.endpoint })
    const { client, store } = testClient(t, mesh, server.address.port, () =>
      server.issuer.issueNodeToken({ node: 'node-a', ttlSeconds: 60 }),
    )
    client.start()
    const HOSTNAME = 'app.demo.svc.cluster.local'
    const endpoints = () =>
      store
        .endpoints(`demo/${HOSTNAME}`)
        .map(({ workload }) => `${workload.name} ${workload.status}`)
        .sort()
        .join()
    await until('the container', () => endpoints() === 'app-1 HEALTHY')
    const workload = [...store.workloads()][0]
    t.match(workload, {
      uid: 'Kubernetes//Pod/demo/app-1',
      serviceAccount: 'default',
      node: 'host-1',
      addresses: ['172.18.0.2'],
      tunnelProtocol: 'HBONE',
      canonicalName: 'app',
      workloadName: 'app',
      authorizationPolicies: ['demo/deny'],
    })
    const address = () => store.servicesByHostname(HOSTNAME)[0]?.addresses[0]?.address
    const before = address()
    t.match(before, /^240\.240\./)

    const two = app('app-2', '172.18.0.3')
    engine.put(two)
    engine.containerEvent('start', two.Id)
    await until('the second', () => endpoints() === 'app-1 HEALTHY,app-2 HEALTHY')
    engine.put(app('app-2', '172.18.0.3', { State: { Status: 'paused', Running: true, Paused: true } }))
    engine.containerEvent('pause', two.Id)
    await until('the pause', () => endpoints() === 'app-1 HEALTHY')
    t.equal([...store.workloads()].length, 2, 'it is still there')
    engine.put(app('app-2', '', { State: { Status: 'exited', Running: false } }))
    engine.containerEvent('die', two.Id)
    await until('the end', () => [...store.workloads()].length === 1)
    engine.put(app('app-1', '', { State: { Status: 'exited', Running: false } }))
    engine.containerEvent('die', one.Id)
    await until('both ends', () => endpoints() === '')
    t.equal(address(), before, 'the name stays, with its address')

    await mesh.write('service.yaml', OWN_SERVICE)
    await until('the file’s service', () => address() === '10.96.0.7')
    t.match(server.status().source, {
      source: /^folder .* and Docker at unix:/,
      problems: [
        {
          severity: 'warning',
          text: /^service\.yaml:1:1: Docker at unix:.* has a Service demo\/app too; this one is in force/,
        },
      ],
    })
  },
)

t.test('without an engine it does not start, and says why', async (t) => {
  const mesh = testMesh(t, {})
  await t.rejects(mesh.start({ docker: 'unix:///nowhere/docker.sock' }), {
    code: 'docker-unreachable',
    message: /there is no \/nowhere\/docker\.sock/,
  })
})

t.test('an engine that goes leaves the mesh as it was, and is a problem for as long', async (t) => {
  const engine = await ScriptedEngine.start(t)
  engine.put(app('app-1', '172.18.0.2'))
  const mesh = testMesh(t, {})
  const server = await mesh.start({ docker: engine.endpoint })
  const resources = server.status().resources
  await engine.stop()
  const problems = () => server.status().source.problems.filter(({ severity }) => severity === 'error')
  await until('the problem', () => problems().length === 1)
  t.strictSame(server.status().resources, resources)
  await engine.start()
  await until('it is back', () => problems().length === 0)
})
