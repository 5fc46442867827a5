// A kit that finds nothing proves nothing: here is a server that does most of it wrong.
import { createSecureServer, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { CertificateAuthority, createInMemoryCa } from '../identity/index.ts'
import {
  ALL_CHECKS,
  type Check,
  identityOf,
  isConformant,
  reportJson,
  runChecks,
  scoreCard,
  type Target,
  tableText,
} from './index.ts'

const CLIENT = { trustDomain: 'cluster.local', namespace: 'kit', serviceAccount: 'client' }

/** Lets anybody in, says 200 to everything, echoes, and takes the end of one half for the end of both. */
async function carelessServer(t: Test): Promise<Target> {
  const ca = await createInMemoryCa()
  const certificate = await new CertificateAuthority(ca).issueServerCertificate({
    dnsNames: ['server.example'],
    ipAddresses: [],
    ttlSeconds: 600,
  })
  const server = createSecureServer({
    key: certificate.key ?? '',
    cert: certificate.cert ?? '',
    minVersion: 'TLSv1.2',
    requestCert: true,
    rejectUnauthorized: false,
    settings: { maxConcurrentStreams: 20 },
    allowHTTP1: true,
  })
  server.on('stream', (stream: ServerHttp2Stream) => {
    stream.on('error', () => {})
    stream.respond({ ':status': 200 })
    stream.on('data', (bytes: Buffer) => stream.write(bytes))
    stream.once('end', () => stream.close())
  })
  server.on('sessionError', () => {}).on('tlsClientError', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  return {
    host: '127.0.0.1',
    port,
    identity: await identityOf(undefined, ca, CLIENT),
    authority: '127.0.0.1:9',
    deniedAuthority: '127.0.0.1:9',
    patience: 1,
  }
}

function named(...names: readonly string[]): readonly Check[] {
  return ALL_CHECKS.filter(({ name }) => names.includes(name))
}

t.test('what a careless server does wrong is found', async (t) => {
  const target = await carelessServer(t)
  const wrong = named(
    'tls/1.2-refused',
    'tls/server-spiffe-id',
    'client-certificate/demanded',
    'client-certificate/foreign-root',
    'client-certificate/expired',
    'client-certificate/not-yet-valid',
    'client-certificate/other-trust-domain',
    'client-certificate/no-spiffe-id',
    'client-certificate/server-only',
    'settings/stream-limit',
    'settings/as-ztunnel',
    'connect/get',
    'connect/malformed-authority',
    'connect/lenient-authority',
    'refusal/denied',
    'refusal/unknown-hostname',
    'status/method',
    'status/denied',
    'status/no-body',
    'tunnel/headers-in-the-tunnel',
    'streams/100',
  )
  t.equal(wrong.length, 21, 'all of them exist')
  const outcomes = await runChecks(wrong, target)
  for (const { check, finding } of outcomes) t.equal(finding.result, 'fail', check.name)
  t.notOk(isConformant(outcomes))
  const json = JSON.parse(reportJson('careless', outcomes))
  t.equal(json.conformant, false)
  t.match(json.checks[0], { name: 'tls/1.2-refused', level: 'should', result: 'fail', remark: /TLSv1.2/ })
  t.match(tableText(outcomes), /At least one must has failed\.\n$/)
  t.match(
    scoreCard('careless', outcomes),
    /\| connect\/get \| refuses GET \| must \| \*\*fail\*\* \| status 200 \|/,
  )
})

t.test('what it does right passes, and what cannot be run says what it needs', async (t) => {
  const target = await carelessServer(t)
  const checks = named(
    'tls/1.3',
    'connect/tunnel',
    'ping/answered',
    'illegal/ping-length',
    'flow-control/stream-window',
    'tunnel/end-stream-is-fin',
    'refusal/dead',
    'handshake/silent',
    'shutdown/drain',
  )
  const outcomes = await runChecks(checks, target)
  t.same(
    outcomes.map(({ check, finding }) => [check.name, finding.result, 'why' in finding ? finding.why : '']),
    [
      ['tls/1.3', 'pass', ''],
      ['handshake/silent', 'not-run', 'needs --patience 15s'],
      ['ping/answered', 'pass', ''],
      ['connect/tunnel', 'pass', ''],
      ['refusal/dead', 'not-run', 'needs --dead-authority'],
      ['tunnel/end-stream-is-fin', 'not-run', 'needs --echo'],
      ['flow-control/stream-window', 'pass', ''],
      ['illegal/ping-length', 'pass', ''],
      ['shutdown/drain', 'not-run', 'needs --drain-command'],
    ],
  )
  t.ok(isConformant(outcomes), 'what was not run has not failed')
})

t.test('every check has a name of its own, and says what it stands on', async (t) => {
  t.equal(new Set(ALL_CHECKS.map(({ name }) => name)).size, ALL_CHECKS.length)
  for (const { name, standsOn, explanation } of ALL_CHECKS) {
    t.match(name, /^[a-z-]+\/[a-z0-9.-]+$/)
    t.ok(standsOn.length > 3 && explanation.length > 3, name)
  }
})
