import '../support/own-namespaces.ts'
import t from 'tap'
import { startLab } from '../../src/lab/mesh-lab.ts'
import { until } from '../support/until.ts'

const GIB = 1024 ** 3

t.test('1 GiB arrives unchanged through two proxies, each way', async (t) => {
  await using lab = await startLab()
  const down = await lab.get(
    'foo/sleep',
    { to: 'bar-1/httpbin', by: 'service', port: 'http' },
    `/bytes/${GIB}`,
  )
  t.equal(down.error, undefined)
  t.equal(down.received, GIB)
  t.match(down.sha256, /^[0-9a-f]{64}$/)
  t.equal(down.sha256, down.announcedSha256, 'down')

  const target = lab.resolve({ to: 'bar-1/httpbin', by: 'service', port: 'tcp' })
  const up = await lab.connect('foo/sleep', { kind: 'tcp', marker: lab.newMarker(), size: GIB, ...target })
  t.equal(up.error, undefined)
  t.equal(up.sent, GIB)
  t.equal(up.sha256, up.announcedSha256, 'up, and the answer came after our half was closed')

  const carried = (bytes: 'bytesSent' | 'bytesReceived'): boolean =>
    lab.proxyLogs().some((record) => record.direction === 'inbound' && record[bytes] >= GIB)
  await until(() => carried('bytesSent') && carried('bytesReceived'), 'the destination proxy to log both')
})
