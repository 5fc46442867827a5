import '../support/own-namespaces.ts'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startLab } from '../../src/lab/mesh-lab.ts'
import type { Explanation } from '../../src/mesh/index.ts'
import { accessLines } from '../support/access-lines.ts'
import { startLongTransfer } from '../support/client-program.ts'
import { until } from '../support/until.ts'

const STRICT = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: bar-3 }
spec: { mtls: { mode: STRICT } }
`
const POLICY = 'istio-system/istio_converted_static_strict'
const SERVICE = { to: 'bar-3/helloworld', by: 'service', port: 'http' } as const
const POD = { to: 'bar-3/helloworld', by: 'pod', port: 'http' } as const
const JUDGED = 'no identity from 10.244.2.20 to 10.244.4.10'

t.test('STRICT: captured pods and sidecars get in, plaintext does not, also not what was open', async (t) => {
  await using lab = await startLab()
  const proven = await startLongTransfer(lab, 'foo/sleep', lab.resolve({ ...SERVICE, port: 'tcp' }))
  const plain = await startLongTransfer(lab, 'plain/client', lab.resolve({ ...POD, port: 'tcp' }))
  t.same(plain.progress, ['open'], 'PERMISSIVE is what holds where nothing is said')
  const file = join(lab.state.config, 'strict.yaml')
  writeFileSync(file, STRICT)
  t.match((await plain.ended)['error'], /ECONNRESET|EPIPE|ended the connection first/)

  t.equal((await lab.get('plain/client', POD)).ok, false, 'plaintext')
  t.equal((await lab.get('foo/sleep', SERVICE)).ok, true, 'a captured pod')
  t.equal((await lab.get('foo/sleep', POD)).ok, true, 'a captured pod, by pod address')
  t.equal((await lab.get('foo/sleep-sidecar', SERVICE)).ok, true, 'a pod with a sidecar that speaks HBONE')
  const { error, sha256, expected } = await proven.finish()
  t.equal(error, undefined)
  t.equal(sha256, expected, 'what had proved an identity before was not touched')

  const denials = () => accessLines(lab, 'ztunnel@node-d').filter(({ policy }) => policy === POLICY)
  await until(() => denials().length === 2, 'the access log to tell of both')
  t.match(denials(), [
    { rule: 1, error: 'connection closed due to policy change', judged: `${JUDGED}:9000` },
    {
      rule: 1,
      error: `connection closed due to policy rejection: explicitly denied by: ${POLICY}`,
      judged: `${JUDGED}:8000`,
    },
  ])
  const query = '/explain?source=plain/client&destination=bar-3/helloworld:8000'
  const { arrival } = JSON.parse((await lab.admin('node-d', query)).body) as Explanation
  t.match(arrival, { verdict: { allowed: false, policy: POLICY, rule: 1 } })
  t.equal(arrival?.context.sourceIdentity, undefined)

  rmSync(file)
  await until(async () => (await lab.get('plain/client', POD)).ok, 'plaintext to be let in again')
})
