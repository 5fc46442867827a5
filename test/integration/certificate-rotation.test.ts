import '../support/own-namespaces.ts'
import t from 'tap'
import { type MeshLab, startLab } from '../../src/lab/mesh-lab.ts'
import { certificatesOf, type DumpedCertificate } from '../support/certificates.ts'
import { startLongTransfer } from '../support/client-program.ts'
import { until } from '../support/until.ts'

const CLIENT = 'spiffe://cluster.local/ns/foo/sa/sleep'
const SERVER = 'spiffe://cluster.local/ns/bar-1/sa/httpbin'

// The longest test of all: it waits for certificates to expire.
t.setTimeout(120_000)

t.test('certificates with a 20-second life rotate under a running transfer without cutting it', async (t) => {
  await using lab = await startLab({ svidTtl: '20s' })
  const target = lab.resolve({ to: 'bar-1/httpbin', by: 'service', port: 'tcp' })
  const transfer = await startLongTransfer(lab, 'foo/sleep', target)
  const first = {
    client: await certificate(lab, 'node-a', CLIENT),
    server: await certificate(lab, 'node-b', SERVER),
  }

  // Not only replaced but past its end: the tunnel that it opened outlives it.
  await until(() => Date.now() > first.client.expires && Date.now() > first.server.expires, 'expiry', 30_000)
  const second = {
    client: await certificate(lab, 'node-a', CLIENT),
    server: await certificate(lab, 'node-b', SERVER),
  }
  t.not(second.client.serialNumber, first.client.serialNumber, 'the client proxy has a new certificate')
  t.not(second.server.serialNumber, first.server.serialNumber, 'the server proxy has a new certificate')
  t.ok(second.client.expires > Date.now() && second.server.expires > Date.now(), 'both are valid')

  const fresh = await lab.get('foo/sleep', { to: 'bar-1/httpbin', by: 'pod', port: 'http' })
  t.equal(fresh.status, 200, 'a new connection is made with the new ones')

  const result = await transfer.finish()
  t.equal(result['error'], undefined)
  t.equal(result['bytes'], result['sent'])
  t.equal(result['sha256'], result['expected'], 'every byte arrived')
})

async function certificate(lab: MeshLab, node: string, identity: string): Promise<DumpedCertificate> {
  const leaf = (await certificatesOf(lab, node)).find((entry) => entry.identity === identity)?.chain[0]
  if (leaf === undefined) throw new Error(`${node} has no certificate for ${identity}`)
  return leaf
}
