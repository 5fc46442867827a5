import '../support/own-namespaces.ts'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type MeshLab, startLab } from '../../src/lab/mesh-lab.ts'
import { accessLines } from '../support/access-lines.ts'
import { type ClientProgram, startLongTransfer } from '../support/client-program.ts'
import { until } from '../support/until.ts'

const DENY_9000 = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: deny-9000, namespace: bar-1 }
spec:
  action: DENY
  rules:
    - from: [{ source: { namespaces: [nowhere] } }]
    - to: [{ operation: { ports: ["9000"] } }]
`
const DENY_LOCKED = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: deny-locked, namespace: bar-1 }
spec:
  selector: { matchLabels: { locked: "true" } }
  action: DENY
  rules: [{}]
`
const ALLOW_WEB = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: allow-web, namespace: bar-1 }
spec:
  rules:
    - from: [{ source: { principals: [cluster.local/ns/foo/sa/web] } }]
`
const CUT = 'connection closed due to policy change'
const SLEEP = 'spiffe://cluster.local/ns/foo/sa/sleep from 10.244.1.10 to 10.244.2.12:9000'

/** What node-b's proxy knows of policies, as its operator sees it. */
async function knows(lab: MeshLab, policy: string, known: boolean): Promise<void> {
  const dump = async (): Promise<boolean> =>
    (await lab.admin('node-b', '/config_dump')).body.includes(`"${policy}"`) === known
  await until(dump, `node-b ${known ? 'to know' : 'to forget'} ${policy}`)
}

/** The transfer ends at once, and the access log says by whom. */
async function isCut(
  t: Test,
  lab: MeshLab,
  transfer: ClientProgram,
  fields: Readonly<Record<string, unknown>>,
): Promise<void> {
  const result = await transfer.ended
  t.match(result['error'], /ECONNRESET|EPIPE|ended the connection first/, 'the client is told at once')
  const line = () =>
    accessLines(lab, 'ztunnel@node-b').find((seen) =>
      Object.entries(fields).every(([name, value]) => seen[name] === value),
    )
  await until(() => line() !== undefined, `the access log to say ${JSON.stringify(fields)}`)
  t.match(line(), { level: 'error', direction: 'inbound', error: CUT, judged: SLEEP })
}

t.test('whatever comes to deny a running transfer cuts it, and no other', async (t) => {
  await using lab = await startLab()
  const target = lab.resolve({ to: 'bar-1/httpbin', by: 'service', port: 'tcp' })
  const elsewhere = lab.resolve({ to: 'bar-3/helloworld', by: 'service', port: 'tcp' })
  const start = (): Promise<ClientProgram> => startLongTransfer(lab, 'foo/sleep', target)
  const untouched = await startLongTransfer(lab, 'foo/sleep', elsewhere)
  const file = (name: string): string => join(lab.state.config, name)
  const edit = (name: string, from: string, to: string): void =>
    writeFileSync(file(name), readFileSync(file(name), 'utf8').replace(from, to))

  await t.test('a new policy', async (t) => {
    const transfer = await start()
    writeFileSync(file('deny-9000.yaml'), DENY_9000)
    await isCut(t, lab, transfer, { policy: 'bar-1/deny-9000', rule: 2 })
    rmSync(file('deny-9000.yaml'))
    await knows(lab, 'deny-9000', false)
  })

  await t.test('a label by which a policy comes to select the workload', async (t) => {
    writeFileSync(file('deny-locked.yaml'), DENY_LOCKED)
    await knows(lab, 'deny-locked', true)
    const transfer = await start()
    t.same(transfer.progress, ['open'], 'it selects nobody yet')
    edit('bar-1.yaml', '    app: httpbin\nspec:', '    app: httpbin\n    locked: "true"\nspec:')
    await isCut(t, lab, transfer, { policy: 'bar-1/deny-locked', rule: 1 })
    rmSync(file('deny-locked.yaml'))
    await knows(lab, 'deny-locked', false)
  })

  await t.test('the end of the policy that let it in', async (t) => {
    writeFileSync(file('allow-web.yaml'), ALLOW_WEB)
    await knows(lab, 'allow-web', true)
    const transfer = await start()
    t.same(transfer.progress, ['open'], 'another policy lets it in')
    edit('authorization-policies.yaml', 'ns/foo/sa/sleep\n', 'ns/foo/sa/nobody\n')
    const unmatched = 'bar-1/allow-web, bar-1/httpbin-allow-sleep'
    await isCut(t, lab, transfer, { unmatched })
  })

  const { error, sha256, expected } = await untouched.finish()
  t.equal(error, undefined)
  t.equal(sha256, expected, 'a transfer to another namespace lost nothing')
})
