// Who gets past the waypoint, a sidecar or a client outside the mesh, is sent
// to it by the ztunnel of the pod, and meets the policies bound to it.
import '../support/own-namespaces.ts'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { ClientReport } from '../../src/lab/client.ts'
import { startLab, type Target } from '../../src/lab/mesh-lab.ts'
import { runScenarios } from '../../src/lab/run-scenarios.ts'
import { COEXISTENCE } from '../../src/lab/scenario.ts'
import { until } from '../support/until.ts'
import { ask } from '../support/waypoint-requests.ts'

t.setTimeout(120_000)

const POD = 'bar-2/helloworld-v1'

t.test('past the waypoint', async (t) => {
  await using lab = await startLab()
  const pod = (to: string): Target => ({ to, by: 'pod', port: 'http' })
  const get = (path: string, to = POD): Promise<ClientReport> => lab.get('plain/client', pod(to), path)

  await t.test('the lab’s own hairpins', async (t) => {
    const hairpins = COEXISTENCE.filter(({ id }) => id.startsWith('hairpin'))
    for (const { problems, scenario } of await runScenarios(lab, hairpins)) t.same(problems, [], scenario.id)
    t.equal(hairpins.length, 2)
  })

  await t.test('a policy of the Service is not one of the pod', async (t) => {
    const { report, lines } = await ask(lab, 'plain/client', pod(POD), '/reset')
    t.equal(report.status, 200)
    t.match(lines, [{ sourceWorkload: 'plain/client', destinationWorkload: POD, sourceIdentity: undefined }])
  })

  await t.test(
    'a client is judged by its own identity and address, not by those of the ztunnel between',
    async (t) => {
      writeFileSync(join(lab.state.config, 'client.yaml'), BY_ADDRESS)
      await until(async () => (await get('/secret')).status === 403, 'the address to be denied')
      const { lines } = await ask(lab, 'plain/client', pod(POD), '/secret')
      t.match(lines, [{ status: 403, policy: 'bar-2/no-plain-client' }])
      const named = await lab.get('foo/sleep', pod(POD), '/secret')
      t.equal(named.status, 200, 'another client')
    },
  )

  await t.test('with the waypoint gone there is no way around it', async (t) => {
    const waypoint = lab.component('waypoint@bar-2/waypoint')
    waypoint.signal('SIGKILL')
    await waypoint.exited
    const position = lab.journal.length
    const report = await get('/')
    t.equal(report.ok, false)
    await until(
      () =>
        lab.journal
          .since(position)
          .some(({ proxy, error }) => proxy === 'ztunnel@node-d' && error !== undefined),
      'the ztunnel to say why',
    )
    const direct = await get('/', 'bar-3/helloworld')
    t.equal(direct.status, 200, 'whoever has no waypoint is not concerned')
  })

  await t.test('and with a new one there is again', async (t) => {
    await lab.startWaypoint('bar-2/waypoint')
    await until(async () => (await get('/')).status === 200, 'the way through the new waypoint')
    t.match(await get('/admin'), { status: 403, body: 'RBAC: access denied' })
  })
})

const BY_ADDRESS = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { namespace: bar-2, name: no-plain-client }
spec:
  targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: waypoint }]
  action: DENY
  rules:
    - from: [{ source: { ipBlocks: [10.244.2.20] } }]
      to: [{ operation: { paths: [/secret], ports: ['80', '8000'] } }]
`
