import '../support/own-namespaces.ts'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startLab } from '../../src/lab/mesh-lab.ts'
import { startLongTransfer } from '../support/client-program.ts'
import { until } from '../support/until.ts'

const DENY_9000 = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: deny-9000, namespace: bar-1 }
spec:
  action: DENY
  rules:
    - to:
        - operation: { ports: ["9000"] }
`

t.test('a policy that denies a running transfer cuts it', async (t) => {
  await using lab = await startLab()
  const target = lab.resolve({ to: 'bar-1/httpbin', by: 'service', port: 'tcp' })
  const transfer = await startLongTransfer(lab, 'foo/sleep', target)
  writeFileSync(join(lab.state.config, 'deny-9000.yaml'), DENY_9000)
  const result = await transfer.ended
  t.match(result['error'], /ECONNRESET|EPIPE|ended the connection first/, 'the client is told at once')
  const reason = 'connection closed due to policy change (bar-1/deny-9000)'
  await until(() => lab.proxyLogs().some(({ error }) => error === reason), `the access log to say: ${reason}`)
})
