import '../support/own-namespaces.ts'
import { spawn } from 'node:child_process'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t from 'tap'
import type { AccessRecord } from '../../src/lab/access-record.ts'
import { defaultManifests, ztunnelProgram } from '../../src/lab/app.ts'
import { startLab, type Target } from '../../src/lab/mesh-lab.ts'
import type { LabJson } from '../../src/lab/report.ts'
import { COEXISTENCE } from '../../src/lab/scenario.ts'
import { ENVOY_VERSION, requireEnvoy } from '../../src/sidecar/envoy-program.ts'
import { until } from '../support/until.ts'

t.setTimeout(240_000)

const ENVOY = `Envoy ${ENVOY_VERSION}`
const SIDECAR = 'sidecar@foo/sleep-sidecar'
const spiffe = (namespace: string, account: string): string =>
  `spiffe://cluster.local/ns/${namespace}/sa/${account}`

t.test('ztunnel lab --once --sidecar envoy: each connection as expected', async (t) => {
  const lab = await runLab()
  t.equal(lab.sidecarProxy, ENVOY)
  t.same(
    lab.connections.map(({ id, problems }) => [id, problems]),
    COEXISTENCE.map(({ id }) => [id, []]),
  )
  const byId = new Map(lab.connections.map((connection) => [connection.id, connection]))
  const tunnelled = byId.get('ambient-to-sidecar-hbone')
  t.same(tunnelled?.hops, ['ztunnel@node-a', 'sidecar@bar/httpbin'])
  const [ours, theirs] = tunnelled?.accessLog ?? []
  t.equal(theirs?.traceId, ours?.traceId, 'Envoy logged the traceparent of our CONNECT')
  t.equal(theirs?.bytesReceived, ours?.bytesSent)
  t.equal(theirs?.sourceIdentity, spiffe('foo', 'sleep'))
  t.same(byId.get('ambient-to-sidecar-legacy')?.hops, ['ztunnel@node-a', 'sidecar@bar/httpbin-legacy'])
  const outwards = byId.get('sidecar-to-ambient-policy')
  t.same(outwards?.hops, [SIDECAR, 'ztunnel@node-b'])
  t.equal(outwards?.accessLog[0]?.destinationIdentity, spiffe('bar-1', 'httpbin'))
})

t.test('Envoy in the seats: other Envoys, the outside, a policy of its own, new certificates', async (t) => {
  const manifests = await mkdtemp(join(tmpdir(), 'lab-sidecar-envoy-'))
  t.teardown(() => rm(manifests, { recursive: true, force: true }))
  await cp(defaultManifests(), manifests, { recursive: true })
  await writeFile(join(manifests, 'deny.yaml'), DENY_WEB)
  await using lab = await startLab({ manifests, envoy: requireEnvoy(), svidTtl: '20s' })
  t.equal(lab.sidecarProxy, ENVOY)
  const serial = await serialOf(() => lab.admin('bar/httpbin', '/certs'))

  /** A request, and what the proxies of either side then say of it. */
  const ask = async (from: string, to: string, by: Target['by'], ...proxies: readonly string[]) => {
    const position = lab.journal.length
    const report = await lab.get(from, { to, by, port: 'http' })
    const find = (): readonly (AccessRecord | undefined)[] =>
      proxies.map((proxy) => lab.journal.since(position).find((record) => record.proxy === proxy))
    await until(
      () => find().every((record) => record !== undefined),
      `what ${proxies} say of ${from} → ${to}`,
    )
    return { report, records: find() }
  }

  await t.test('Envoy to Envoy by HBONE', async (t) => {
    const { report, records } = await ask(
      'foo/sleep-sidecar',
      'bar/httpbin',
      'service',
      SIDECAR,
      'sidecar@bar/httpbin',
    )
    t.match(report, { ok: true })
    t.match(records, [
      {
        direction: 'outbound',
        destinationIdentity: spiffe('bar', 'httpbin'),
        hboneAddress: '10.244.2.10:8000',
      },
      { direction: 'inbound', sourceIdentity: spiffe('foo', 'sleep-sidecar'), error: undefined },
    ])
  })

  await t.test('Envoy to Envoy in plain TCP, where the other one takes no HBONE', async (t) => {
    const proxies = [SIDECAR, 'sidecar@bar/httpbin-legacy']
    const { report, records } = await ask('foo/sleep-sidecar', 'bar/httpbin-legacy', 'service', ...proxies)
    t.match(report, { ok: true })
    t.match(records, [
      { direction: 'outbound', destination: '10.244.2.11:8000', hboneAddress: undefined },
      { direction: 'inbound', sourceIdentity: undefined, destinationWorkload: 'bar/httpbin-legacy' },
    ])
  })

  await t.test('the outside: no mesh, no tunnel', async (t) => {
    const { report, records } = await ask('foo/sleep-sidecar', 'outside', 'pod', SIDECAR)
    t.match(report, { ok: true })
    t.match(records, [{ destination: '203.0.113.10:8000', hboneAddress: undefined, error: undefined }])
  })

  await t.test('the mesh’s policy is Envoy’s to enforce in its pod', async (t) => {
    const { report, records } = await ask(
      'foo/web',
      'bar/httpbin',
      'service',
      'ztunnel@node-a',
      'sidecar@bar/httpbin',
    )
    t.equal(report.ok, false, 'denied')
    t.match(records, [
      { error: /403/ },
      { sourceIdentity: spiffe('foo', 'web'), policy: 'bar/deny-web', error: /^policy rejection by Envoy/ },
    ])
  })

  await t.test('our policy denies Envoy, and it says what it was told', async (t) => {
    const { report, records } = await ask(
      'bar/httpbin',
      'bar-1/httpbin',
      'service',
      'sidecar@bar/httpbin',
      'ztunnel@node-b',
    )
    t.equal(report.ok, false, 'denied')
    t.match(records, [{ error: /401/ }, { error: /allow policies exist, but none allowed/ }])
  })

  await t.test('its certificate is replaced while it runs', async (t) => {
    await until(
      async () => (await serialOf(() => lab.admin('bar/httpbin', '/certs'))) !== serial,
      'Envoy has another certificate',
      30_000,
    )
    const { report } = await ask('foo/sleep', 'bar/httpbin', 'service', 'ztunnel@node-a')
    t.match(report, { ok: true })
  })
})

const DENY_WEB = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { namespace: bar, name: deny-web }
spec:
  action: DENY
  rules:
    - from:
        - source:
            principals: [cluster.local/ns/foo/sa/web]
`

async function runLab(): Promise<LabJson> {
  // Without the test runner's loaders: every process of the lab would load them too.
  const flags = ['lab', '--once', '--json', '--sidecar', 'envoy']
  const command = ['-u', 'NODE_OPTIONS', process.execPath, ztunnelProgram(), ...flags]
  const child = spawn('env', command, { stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = new Promise((resolve) => child.once('exit', resolve))
  const [output, progress, status] = await Promise.all([text(child.stdout), text(child.stderr), exited])
  if (status !== 0) throw new Error(`exit status ${status}: ${progress}${output}`)
  return JSON.parse(output) as LabJson
}

/** Of the certificate that an Envoy shows its peers. */
async function serialOf(admin: () => Promise<{ readonly body: string }>): Promise<string | undefined> {
  const { certificates } = JSON.parse((await admin()).body) as EnvoyCertificates
  return certificates.flatMap(({ cert_chain }) => cert_chain ?? []).find(({ serial_number }) => serial_number)
    ?.serial_number
}

interface EnvoyCertificates {
  readonly certificates: readonly { readonly cert_chain?: readonly { readonly serial_number: string }[] }[]
}
