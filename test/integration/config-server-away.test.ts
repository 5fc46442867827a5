import '../support/own-namespaces.ts'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startLab, type Target } from '../../src/lab/mesh-lab.ts'
import { until } from '../support/until.ts'

const DENY_SLEEP = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: deny-sleep, namespace: bar-3 }
spec:
  action: DENY
  rules:
    - from:
        - source: { principals: ["cluster.local/ns/foo/sa/sleep"] }
`

t.test(
  'without a config server traffic flows on, and what changed meanwhile arrives with its return',
  async (t) => {
    await using lab = await startLab()
    const target: Target = { to: 'bar-3/helloworld', by: 'service', port: 'http' }
    t.equal((await lab.get('foo/sleep', target)).status, 200, 'before')

    await lab.stopConfigServer()
    const away = await lab.get('foo/sleep', target)
    t.equal(away.status, 200, 'while it is away')
    const unused = await lab.get('foo/web', { to: 'bar/httpbin', by: 'service', port: 'http' })
    t.equal(unused.status, 200, 'and between two pods that had not spoken before')
    writeFileSync(join(lab.state.config, 'deny-sleep.yaml'), DENY_SLEEP)

    await lab.startConfigServer()
    // A request that is under way when the policy comes is cut, which is another line of the log.
    const isDenied = ({ error }: { error?: string | undefined }): boolean =>
      error?.includes('explicitly denied by: bar-3/deny-sleep') === true
    await until(
      async () => (await lab.get('foo/sleep', target)).status !== 200 && lab.proxyLogs().some(isDenied),
      'the new policy to be enforced, and logged',
    )
    t.equal((await lab.get('foo/sleep-sidecar', target)).status, 200, 'others are still allowed')
  },
)
