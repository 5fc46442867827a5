import '../support/own-namespaces.ts'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { startLab } from '../../src/lab/mesh-lab.ts'
import { startLongTransfer } from '../support/client-program.ts'
import { until } from '../support/until.ts'

const MESH = `
workloads:
  - { name: sleep, namespace: foo, serviceAccount: sleep, workloadIps: [10.244.1.10], node: node-a, protocol: HBONE }
  - name: httpbin
    namespace: bar-1
    serviceAccount: httpbin
    workloadIps: [10.244.2.12]
    node: node-b
    protocol: HBONE
    services: { bar-1/httpbin.example.com: { 80: 8000, 9000: 9000 } }
services:
  - { name: httpbin, namespace: bar-1, hostname: httpbin.example.com, vips: [/10.96.2.12], ports: { 80: 8000, 9000: 9000 } }
`
const DENY = `
policies:
  - { name: closed, namespace: bar-1, scope: Namespace, action: Deny, rules: [[[{ destinationPorts: [9000] }]]] }
`

t.test('a mesh out of a file, without an xDS server: ready, routed, and changed by the file', async (t) => {
  const file = join(mkdtempSync(join(tmpdir(), 'local-mesh-')), 'mesh.yaml')
  writeFileSync(file, MESH)
  await using lab = await startLab({ proxyEnv: { XDS_ADDRESS: '', LOCAL_XDS_PATH: file } })
  // Without an xDS server a proxy may be ready before the CA is, and asks it again after a while.
  const hasCertificate = async (node: string, account: string): Promise<boolean> =>
    (await lab.admin(node, '/config_dump')).body.includes(`/sa/${account}",\n      "state": "Available"`)
  await until(() => hasCertificate('node-a', 'sleep'), 'a certificate of the client')
  await until(() => hasCertificate('node-b', 'httpbin'), 'a certificate of the server')
  const report = await lab.get('foo/sleep', { to: 'bar-1/httpbin', by: 'service', port: 'http' })
  t.match(report, { ok: true, status: 200 })
  const inbound = () => lab.proxyLogs().find(({ direction }) => direction === 'inbound')
  await until(() => inbound() !== undefined, 'a record of the server’s side')
  t.match(inbound(), {
    sourceIdentity: 'spiffe://cluster.local/ns/foo/sa/sleep',
    destinationIdentity: 'spiffe://cluster.local/ns/bar-1/sa/httpbin',
  })

  const target = lab.resolve({ to: 'bar-1/httpbin', by: 'service', port: 'tcp' })
  const transfer = await startLongTransfer(lab, 'foo/sleep', target)
  writeFileSync(file, `${MESH}nonsense: 1\n${DENY}`)
  const problem = 'local mesh has an error; its last state stays'
  await lab.component('ztunnel@node-b').waitForLine((line) => line.includes(problem), `say: ${problem}`)
  writeFileSync(file, `${MESH}${DENY}`)
  t.match((await transfer.ended)['error'], /ECONNRESET|EPIPE|ended the connection first/, 'cut at once')
  const reason = 'connection closed due to policy change'
  const said = () =>
    lab.proxyLogs().some(({ error, policy }) => error === reason && policy === 'bar-1/closed')
  await until(said, `the access log to say: ${reason}`)
})
