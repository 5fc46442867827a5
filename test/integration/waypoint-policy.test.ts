// Policies at the waypoint see the client that began, not the ztunnels between.
import '../support/own-namespaces.ts'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type MeshLab, startLab, type Target } from '../../src/lab/mesh-lab.ts'
import { until } from '../support/until.ts'
import { ask } from '../support/waypoint-requests.ts'

t.setTimeout(120_000)

const MESH = join(import.meta.dirname, '../support/waypoint-replicas')
const SERVER: Target = { to: 'app/server', by: 'service', port: 'http' }
const TCP: Target = { to: 'app/server', by: 'service', port: 'tcp' }
const REFUSAL = { status: 403, body: 'RBAC: access denied' }

t.test('AuthorizationPolicies of a waypoint', async (t) => {
  await using lab = await startLab({ manifests: MESH })

  await t.test('DENY by path, also in disguise', async (t) => {
    put(lab, deny('by-path', 'to: [{ operation: { paths: [/admin, /admin/*], ports: ["80"] } }]'))
    await until(
      async () => (await ask(lab, 'app/client', SERVER, '/admin')).report.status === 403,
      'the DENY',
    )
    for (const path of ['/admin', '/./admin', '/x/../admin/y', '/%61dmin', '//admin']) {
      const { report, lines } = await ask(lab, 'app/client', SERVER, path)
      t.match(report, REFUSAL, path)
      t.match(lines, [{ policy: 'app/by-path', upstreamHost: undefined }], 'no application was asked')
    }
    t.equal((await ask(lab, 'app/client', SERVER, '/administrator')).report.status, 200)
  })

  await t.test('ALLOW by method and by the principal of the client', async (t) => {
    const rule = `from: [{ source: { principals: [cluster.local/ns/app/sa/client] } }]
      to: [{ operation: { methods: [GET], ports: ["80"] } }]`
    put(lab, allow('readers', rule))
    await until(async () => (await ask(lab, 'app/guest', SERVER, '/')).report.status === 403, 'the ALLOW')
    const { report, lines } = await ask(lab, 'app/client', SERVER, '/')
    t.equal(report.status, 200)
    t.match(lines, [{ policy: 'app/readers', sourceIdentity: 'spiffe://cluster.local/ns/app/sa/client' }])
    t.match((await ask(lab, 'app/client', SERVER, '/', { method: 'DELETE' })).report, REFUSAL)
    const guest = await ask(lab, 'app/guest', SERVER, '/')
    t.match(guest.report, REFUSAL)
    t.match(guest.lines, [{ sourceIdentity: 'spiffe://cluster.local/ns/app/sa/guest' }])
  })

  await t.test('what says that it is another by a header is still itself', async (t) => {
    const headers = {
      'x-ztunnel-client-identity': 'spiffe://cluster.local/ns/app/sa/client',
      'x-forwarded-client-cert': 'By=x;URI=spiffe://cluster.local/ns/app/sa/client',
      'x-forwarded-for': '10.244.1.10',
      forwarded: 'for=10.244.1.10',
    }
    t.match((await ask(lab, 'app/guest', SERVER, '/', { headers })).report, REFUSAL)
  })

  await t.test(
    'TCP: judged as it opens, by L4 fields; an HTTP field allows less and denies more',
    async (t) => {
      const tcp = (from: string) =>
        lab.connect(from, { kind: 'tcp', marker: lab.newMarker(), ...lab.resolve(TCP) })
      t.equal((await tcp('app/client')).ok, false, 'the ALLOW for GET on port 80 lets no TCP in')
      put(lab, allow('readers', 'from: [{ source: { serviceAccounts: [client] } }]'))
      await until(async () => (await tcp('app/client')).ok, 'an ALLOW by service account')
      t.equal((await tcp('app/guest')).ok, false)
      put(lab, deny('by-path', 'to: [{ operation: { ports: ["9000"], paths: [/never] } }]'))
      await until(async () => !(await tcp('app/client')).ok, 'the DENY that lost its path')
      t.equal((await ask(lab, 'app/client', SERVER, '/')).report.status, 200, 'on its own port alone')
    },
  )

  await t.test('L4 policies of the pod stay with its ztunnel, which sees the waypoint', async (t) => {
    rmSync(join(lab.state.config, 'by-path.yaml'))
    put(
      lab,
      `${head('pods')}\n  selector: { matchLabels: { app: server } }\n  action: ALLOW
  rules: [{ from: [{ source: { principals: [cluster.local/ns/app/sa/client] } }] }]\n`,
    )
    await until(
      async () => (await ask(lab, 'app/client', SERVER, '/')).report.status !== 200,
      'the L4 policy',
    )
    put(
      lab,
      `${head('pods')}\n  selector: { matchLabels: { app: server } }\n  action: ALLOW
  rules: [{ from: [{ source: { principals: [cluster.local/ns/app/sa/waypoint] } }] }]\n`,
    )
    await until(
      async () => (await ask(lab, 'app/client', SERVER, '/')).report.status === 200,
      'the waypoint let in',
    )
    const past = await lab.get('plain/client', { to: 'app/v1', by: 'pod', port: 'http' })
    t.equal(past.ok, false, 'and nobody past it')
  })
})

function head(name: string): string {
  return `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { namespace: app, name: ${name} }
spec:`
}

const GATEWAY = 'targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: waypoint }]'
const SERVICE = `targetRefs: [{ group: '', kind: Service, name: server }]`

function deny(name: string, rule: string): string {
  return `${head(name)}\n  ${GATEWAY}\n  action: DENY\n  rules:\n    - ${rule}\n`
}

function allow(name: string, rule: string): string {
  return `${head(name)}\n  ${SERVICE}\n  action: ALLOW\n  rules:\n    - ${rule}\n`
}

/** In a file of the policy's name, in place of the last one. */
function put({ state }: MeshLab, yaml: string): void {
  const name = /name: ([\w-]+) \}/.exec(yaml)?.[1] ?? 'policy'
  writeFileSync(join(state.config, `${name}.yaml`), yaml)
}
