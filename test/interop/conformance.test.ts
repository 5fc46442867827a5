// The conformance kit against our proxy and against Envoy's HBONE server, with
// the patience that every check needs. With WRITE_SCORE_CARDS=1 the
// score cards of docs/conformance.md are written anew.
import '../support/own-namespaces.ts'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ALL_CHECKS, type Outcome, runChecks, scoreCard, tableText } from '../../src/conformance/index.ts'
import { CertificateAuthority, exportPrivateKeyPem, loadCa } from '../../src/identity/index.ts'
import { ENVOY_VERSION } from '../../src/sidecar/envoy-program.ts'
import { CONFORMANCE_POD, type ConformanceLab, startConformanceLab } from '../support/conformance-lab.ts'
import { EnvoyProcess } from './support/envoy-process.ts'
import { serverBootstrap } from './support/envoy-server-config.ts'

t.setTimeout(300_000)

const PAGE = new URL('../../docs/conformance.md', import.meta.url)
/** Longer than the half minute after which a peer that answers no PING is let go. */
const PATIENCE_S = 40

t.test('our proxy and Envoy under the conformance kit', async (t) => {
  const lab = await startConformanceLab(t)
  const envoy = await runEnvoy(t, lab)
  const ours = await lab.runOurs(PATIENCE_S)
  if (process.env['WRITE_SCORE_CARDS'] === '1') {
    const cards = [
      scoreCard('ztunnel-node', ours),
      scoreCard(`Envoy ${ENVOY_VERSION}, configured as Istio configures a sidecar`, envoy),
    ]
    await writeCards(cards.join('\n'))
  }
  await t.test('ours', async (t) => {
    t.same(failures(ours), [], failedText(ours))
    t.same(
      ours.filter(({ finding }) => finding.result === 'not-run').map(({ check }) => check.name),
      [],
      'every check was run',
    )
  })
  await t.test('Envoy', async (t) => {
    t.same(failures(envoy, 'must'), [], failedText(envoy))
  })
})

async function runEnvoy(t: Test, lab: ConformanceLab): Promise<Outcome[]> {
  const folder = join(lab.mesh.state.certs, 'envoy')
  await mkdir(folder, { mode: 0o700 })
  const id = { trustDomain: 'cluster.local', namespace: 'kit', serviceAccount: 'envoy' }
  const svid = await new CertificateAuthority(await loadCa(lab.mesh.state.certs)).issueSvid(id, 3600)
  const tls = {
    chain: join(folder, 'cert-chain.pem'),
    key: join(folder, 'key.pem'),
    roots: join(folder, 'root-cert.pem'),
  }
  await writeFile(tls.chain, svid.certificateChain.join(''))
  await writeFile(tls.key, exportPrivateKeyPem(svid), { mode: 0o600 })
  await writeFile(tls.roots, svid.roots.join(''))
  const ports = [
    { port: 9000 },
    { port: 9001, only: ['spiffe://cluster.local/ns/kit/sa/nobody'] },
    { port: 9002 },
  ]
  const config = serverBootstrap({ addresses: [CONFORMANCE_POD.envoy], tls, ports })
  const argv = ['--drain-strategy', 'immediate', '--drain-time-s', '5']
  const envoy = await EnvoyProcess.start({ namespace: lab.namespace('kit/envoy'), config, folder, argv })
  t.teardown(() => envoy.stop())
  const target = await lab.target('kit/envoy', CONFORMANCE_POD.envoy, CONFORMANCE_POD.envoy, {
    serverIdentity: 'spiffe://cluster.local/ns/kit/sa/envoy',
    patience: PATIENCE_S,
    drain: async () => void (await envoy.admin('/drain_listeners?graceful', 'POST')),
  })
  const outcomes = await runChecks(ALL_CHECKS, target)
  t.pass('ran')
  return outcomes
}

async function writeCards(cards: string): Promise<void> {
  const page = await readFile(PAGE, 'utf8')
  const end = page.indexOf(MARK)
  await writeFile(PAGE, `${page.slice(0, end + MARK.length)}\n\n${cards}`)
}

function failures(outcomes: readonly Outcome[], level?: string): string[] {
  return outcomes
    .filter(
      ({ check, finding }) => finding.result === 'fail' && (level === undefined || check.level === level),
    )
    .map(({ check }) => check.name)
}

function failedText(outcomes: readonly Outcome[]): string {
  return tableText(outcomes.filter(({ finding }) => finding.result === 'fail'))
}

/** What follows is generated. */
const MARK = '## Score cards'
