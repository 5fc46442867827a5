import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { testMesh } from '../config-server/test-support.ts'
import { rawContainer, ScriptedEngine } from '../docker/test-support.ts'

const PROGRAM = join(import.meta.dirname, '../../bin/ztunnel.js')
const MESH = join(import.meta.dirname, '../../test/interop/support/mesh-seats')

interface Run {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function bootstrap(...argv: readonly string[]): Promise<Run> {
  return new Promise((resolve) => {
    execFile(process.execPath, [PROGRAM, 'sidecar', 'bootstrap', ...argv], (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    })
  })
}

t.test('a bootstrap names the workload’s certificate, ports and policies', async (t) => {
  const { code, stdout, stderr } = await bootstrap('envoy/sidecar', '--config', MESH, '--certs', '/pki')
  t.equal(code, 0, stderr)
  const { node, static_resources } = JSON.parse(stdout)
  t.equal(node.id, 'sidecar~10.244.4.30~sidecar.envoy')
  for (const file of ['/pki/cert-chain.pem', '/pki/key.pem', '/pki/root-cert.pem'])
    t.ok(stdout.includes(file), file)
  t.same(
    static_resources.listeners.map(({ name }: { name: string }) => name),
    ['connect_terminate', 'main_internal', 'virtualInbound', 'virtualOutbound', 'connect_originate'],
  )
  const ports = static_resources.listeners[1].filter_chains.map(({ name }: { name: string }) => name)
  t.same(ports, ['port_9000', 'port_9001', 'port_9002'])
  const tunnels = JSON.stringify(static_resources.listeners[0])
  const authorities = [9000, 9001, 9002].map((port) => `10.244.4.30:${port}`)
  // A port that is spelt otherwise would get past policies, which compare text.
  t.ok(
    tunnels.includes(JSON.stringify({ domains: authorities }).slice(1, -1)),
    'no other authority is served',
  )
  for (const policy of ['envoy/sidecar-deny-9001[0]', 'envoy/converted_peer_authentication_sidecar[0]']) {
    t.ok(stdout.includes(JSON.stringify(policy)), policy)
  }
  t.notOk(stdout.includes('app/deny-9001'), 'no policy of others')
})

t.test('the same as YAML', async (t) => {
  const [json, yaml] = await Promise.all([
    bootstrap('app/server', '--config', MESH),
    bootstrap('app/server', '--config', MESH, '--format', 'yaml'),
  ])
  t.same(parse(yaml.stdout), JSON.parse(json.stdout))
})

t.test('what cannot be done is said in a sentence', async (t) => {
  const unknown = await bootstrap('envoy/nobody', '--config', MESH)
  t.match(unknown, {
    code: 1,
    stdout: '',
    stderr: /no workload envoy\/nobody in .*: see ztunnel config show/,
  })
  const folder = mkdtempSync(join(tmpdir(), 'sidecar-'))
  writeFileSync(join(folder, 'broken.yaml'), 'kind: [\n')
  const broken = await bootstrap('envoy/sidecar', '--config', folder)
  t.match(broken, { code: 1, stdout: '', stderr: /has errors, the first one in .*broken\.yaml/ })
  t.match(await bootstrap('sidecar', '--config', MESH), { code: 1, stderr: /NAMESPACE\/POD/ })
  t.match(await bootstrap('envoy/sidecar'), { code: 1, stderr: /either --config DIR or --xds-address URL/ })
  t.match(await bootstrap('envoy/sidecar', '--config', MESH, '--xds-address', 'https://localhost:1'), {
    code: 1,
    stderr: /either --config DIR or --xds-address URL/,
  })
  t.match(await bootstrap('envoy/sidecar', '--xds-address', 'https://localhost:1'), {
    code: 1,
    stderr: /--xds-address needs --xds-root FILE/,
  })
})

t.test('a config server is asked, and what comes later is waited for: containers and policies', async (t) => {
  const engine = await ScriptedEngine.start(t)
  const container = (name: string, address: string, labels: object) =>
    rawContainer(name, {
      Labels: { 'ztunnel.namespace': 'demo', 'ztunnel.service': name, 'ztunnel.ports': '8000', ...labels },
      NetworkSettings: { Networks: { demo: { NetworkID: 'net-1', IPAddress: address } } },
    })
  engine.put(container('httpbin', '172.18.0.2', {}))
  const mesh = testMesh(t, { 'strict.yaml': STRICT })
  const server = await mesh.start({ docker: engine.endpoint })
  const folder = join(mesh.certsDir, '..')
  const token = join(folder, 'token')
  const workload = { namespace: 'demo', serviceAccount: 'default', ttlSeconds: 60 }
  writeFileSync(token, await server.issuer.issueWorkloadToken(workload))
  const root = join(mesh.certsDir, 'root-cert.pem')
  const address = `https://127.0.0.1:${server.address.port}`
  const sds = join(folder, 'sds.json')
  const flags = [
    '--xds-address',
    address,
    '--xds-root',
    root,
    '--token',
    token,
    '--sds',
    sds,
    '--certs',
    '/c',
  ]
  const printed = bootstrap('demo/ledger', ...flags)
  const ledger = { 'sidecar.istio.io/inject': 'true', 'networking.istio.io/tunnel': 'http' }
  engine.put(container('ledger', '172.18.0.3', { ...ledger, 'istio.io/dataplane-mode': 'none' }))
  engine.containerEvent('start', 'ledger-'.padEnd(64, '0'))
  const { code, stdout, stderr } = await printed
  t.equal(code, 0, stderr)
  const { node, static_resources } = JSON.parse(stdout)
  t.equal(node.id, 'sidecar~172.18.0.3~ledger.demo')
  const clusters = static_resources.clusters.map(({ name }: { name: string }) => name)
  t.ok(clusters.includes('httpbin.demo.svc.cluster.local_8000'), 'what Docker knows')
  t.match(stdout, /istio_converted_static_strict/, 'what the folder says')
  t.ok(stdout.includes(JSON.stringify(sds)) && !stdout.includes('/c/key.pem'), 'certificates by SDS')
  t.match(JSON.parse(readFileSync(sds, 'utf8')).resources[0].tls_certificate, {
    private_key: { filename: '/c/key.pem' },
    watched_directory: { path: '/c' },
  })
})

const STRICT = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { namespace: demo, name: strict }
spec: { selector: { matchLabels: { app: ledger } }, mtls: { mode: STRICT } }
`
