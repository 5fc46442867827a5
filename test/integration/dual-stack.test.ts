import '../support/own-namespaces.ts'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { AccessRecord } from '../../src/lab/access-record.ts'
import { httpGetIn } from '../../src/lab/http-probe.ts'
import { type MeshLab, startLab, type Target } from '../../src/lab/mesh-lab.ts'
import { until } from '../support/until.ts'

const MANIFESTS = fileURLToPath(new URL('../../labs/dual-stack', import.meta.url))

const HTTPBIN_6 = 'fd00:10:244:2::12'
const SLEEP_6 = 'fd00:10:244:1::10'

t.test('IPv6 and IPv4 side by side', async (t) => {
  await using lab = await startLab({ manifests: MANIFESTS })

  for (const [by, family] of [
    ['pod', 6],
    ['service', 6],
    ['pod', 4],
    ['service', 4],
  ] as const) {
    await t.test(
      `ambient to ambient by ${by} address in IPv${family}: HBONE in the same family`,
      async (t) => {
        const { record, from } = await carried(lab, 'foo/sleep', {
          to: 'bar-1/httpbin',
          by,
          port: 'http',
          family,
        })
        const server = family === 6 ? `[${HTTPBIN_6}]` : '10.244.2.12'
        t.equal(from, family === 6 ? SLEEP_6 : '10.244.1.10', 'the application sees the client address')
        t.equal(record.destination, `${server}:15008`)
        t.equal(record.hboneAddress, `${server}:8000`)
      },
    )
  }

  await t.test('a pod and a service without IPv4 are reached over HBONE', async (t) => {
    for (const by of ['pod', 'service'] as const) {
      const { record } = await carried(lab, 'foo/sleep', { to: 'bar-1/six', by, port: 'http' })
      t.equal(record.destination, '[fd00:10:244:2::13]:15008')
    }
  })

  await t.test('plaintext in IPv6 is captured and judged by its IPv6 source block', async (t) => {
    const allowed = await lab.get('plain/client', { to: 'bar-1/httpbin', by: 'pod', port: 'http', family: 6 })
    t.match(allowed, { ok: true, status: 200 })
    t.equal(JSON.parse(allowed.body ?? '{}').from, 'fd00:10:244:2::20')
    const otherFamily = await lab.get('plain/client', {
      to: 'bar-1/httpbin',
      by: 'pod',
      port: 'http',
      family: 4,
    })
    t.equal(otherFamily.ok, false, 'an IPv6 block says nothing of the same pod in IPv4')
    const otherPort = await lab.get('plain/client', {
      to: 'bar-1/httpbin',
      by: 'pod',
      port: 'tcp',
      family: 6,
    })
    t.equal(otherPort.ok, false)
  })

  await t.test('a destination outside of the mesh is reached in IPv6', async (t) => {
    const report = await lab.get('foo/sleep', { to: 'outside', by: 'pod', port: 'http', family: 6 })
    t.match(report, { ok: true, status: 200 })
  })

  await t.test('admin, stats and readiness answer on both loopbacks', async (t) => {
    const node = lab.network.namespace('node-a')
    for (const host of ['127.0.0.1', '::1']) {
      t.equal((await httpGetIn(node, 15000, '/config_dump', host)).status, 200)
      t.equal((await httpGetIn(node, 15020, '/metrics', host)).status, 200)
      t.equal((await httpGetIn(node, 15021, '/healthz/ready', host)).status, 200)
    }
  })
})

/** Makes a request and resolves with the client's ztunnel's word about it. */
async function carried(
  lab: MeshLab,
  from: string,
  target: Target,
): Promise<{ record: AccessRecord; from: unknown }> {
  const report = await lab.get(from, target)
  if (!report.ok) throw new Error(`${from} to ${JSON.stringify(target)}: ${report.error}`)
  const bracketed = report.localAddress?.includes(':') ? `[${report.localAddress}]` : report.localAddress
  const source = `${bracketed}:${report.localPort}`
  const found = () =>
    lab.proxyLogs().find((entry) => entry.direction === 'outbound' && entry.source === source)
  await until(() => found() !== undefined, `an outbound record of ${source}`)
  const record = found()
  if (record === undefined) throw new Error('a record went away')
  return { record, from: JSON.parse(report.body ?? '{}').from }
}
