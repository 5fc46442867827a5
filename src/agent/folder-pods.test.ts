import t from 'tap'
import { loadFolder } from '../xds/kubernetes/index.ts'
import { capturedPods } from './folder-pods.ts'
import { testFolder } from './test-support.ts'

const OPTIONS = { node: 'node-a', netnsDirectory: '/run/netns', dnsCapture: true }

t.test('which pods are captured, and how', async (t) => {
  const folder = testFolder()
  folder.pod('plain')
  folder.pod('named', { annotations: 'ztunnel-node.io/netns: elsewhere' })
  folder.pod('by-path', { annotations: 'ztunnel-node.io/netns: /proc/42/ns/net' })
  folder.pod('ingress', {
    annotations: 'ambient.istio.io/bypass-inbound-capture: "true", ambient.istio.io/dns-capture: "false"',
  })
  folder.pod('sidecar', { labels: 'istio.io/dataplane-mode: ambient, sidecar.istio.io/inject: "true"' })
  folder.pod('outside', { labels: 'app: web' })
  const { objects } = await loadFolder(folder.directory)
  t.same(
    capturedPods(objects, OPTIONS).map(({ name, networkNamespace, redirection }) => [
      name,
      networkNamespace,
      redirection.captureInbound,
      redirection.dnsCapture,
    ]),
    [
      ['by-path', '/proc/42/ns/net', true, true],
      ['ingress', '/run/netns/ns.ingress', false, false],
      ['named', '/run/netns/elsewhere', true, true],
      ['plain', '/run/netns/ns.plain', true, true],
    ],
  )
  t.same(capturedPods(objects, { ...OPTIONS, node: 'node-b' }), [])
})
