// A node proxy of ours under the conformance kit, in a lab: the client is in a
// pod that is not captured, the application behind the proxy is the kit's own.
import '../support/own-namespaces.ts'
import t from 'tap'
import { tableText } from '../../src/conformance/index.ts'
import { startConformanceLab } from '../support/conformance-lab.ts'

t.setTimeout(180_000)

/** Longer than the handshake's ten seconds and the PING's; what needs more is in test/interop. */
const PATIENCE_S = 15
t.test('our proxy passes the conformance kit', async (t) => {
  const lab = await startConformanceLab(t)
  const outcomes = await lab.runOurs(PATIENCE_S)
  const failed = outcomes.filter(({ finding }) => finding.result === 'fail')
  t.same(
    failed.map(({ check }) => check.name),
    [],
    tableText(failed),
  )
  const notRun = outcomes.filter(({ finding }) => finding.result === 'not-run').map(({ check }) => check.name)
  t.same(notRun, ['handshake/no-preface', 'ping/dead-peer'], 'only what takes half a minute is left out')
})
