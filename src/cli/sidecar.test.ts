import { execFile } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'

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
})
