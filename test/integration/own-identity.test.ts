import '../support/own-namespaces.ts'
import { cpSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { startLab } from '../../src/lab/mesh-lab.ts'
import { until } from '../support/until.ts'

/** Without sidecars, whose proxies would be told the name of a pod that they are not. */
const MANIFESTS = fileURLToPath(new URL('../../labs/dual-stack', import.meta.url))
/** An address of node-a that pods of other nodes have a route to. */
const ADDRESS = '10.244.1.1'

const POD = `
apiVersion: v1
kind: Namespace
metadata: { name: istio-system }
---
apiVersion: v1
kind: Pod
metadata:
  namespace: istio-system
  name: ztunnel-a
  labels: { app: ztunnel, networking.istio.io/tunnel: http }
spec: { nodeName: node-a, serviceAccountName: ztunnel, containers: [{ name: istio-proxy }] }
status: { phase: Running, podIP: ${ADDRESS}, podIPs: [{ ip: ${ADDRESS} }] }
`

t.test('the proxy’s own metrics are reached over HBONE, by its own identity', async (t) => {
  const manifests = mkdtempSync(join(tmpdir(), 'own-identity-'))
  cpSync(MANIFESTS, manifests, { recursive: true })
  writeFileSync(join(manifests, 'ztunnel.yaml'), POD)
  const proxyEnv = { POD_NAME: 'ztunnel-a', POD_NAMESPACE: 'istio-system', SERVICE_ACCOUNT: 'ztunnel' }
  await using lab = await startLab({ manifests, proxyEnv })
  const marker = lab.newMarker()
  const report = await lab.connect('bar-1/httpbin', {
    kind: 'http',
    host: ADDRESS,
    port: 15020,
    path: '/metrics',
    marker,
  })
  t.match(report, { ok: true, status: 200 })
  t.match(report.body, /^istio_build/m)
  const source = `${report.localAddress}:${report.localPort}`
  const found = () =>
    lab.proxyLogs().find((entry) => entry.direction === 'outbound' && entry.source === source)
  await until(() => found() !== undefined, 'a record of the client’s side')
  t.match(found(), {
    destination: `${ADDRESS}:15008`,
    hboneAddress: `${ADDRESS}:15020`,
    destinationIdentity: 'spiffe://cluster.local/ns/istio-system/sa/ztunnel',
  })
})
