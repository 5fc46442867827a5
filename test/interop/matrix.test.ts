import '../support/own-namespaces.ts'
import t, { type Test } from 'tap'
import { MatrixLab, PAST_THE_RULE, podOf, proxyOf, WAYPOINT } from './support/matrix-lab.ts'
import {
  CELLS,
  type Cell,
  describe,
  documentedMatrix,
  documentMatrix,
  type Observation,
  renderMatrix,
} from './support/matrix-table.ts'

t.setTimeout(120_000)

const ADDRESS = { ours: '10.244.2.10', Envoy: '10.244.4.10' }
const CLIENT_ADDRESS = { ours: '10.244.1.10', Envoy: '10.244.3.10' }
const WAYPOINT_ADDRESS = '10.244.3.20'
const DENIED_BY = { ours: 'app/deny-8081', Envoy: 'envoy/deny-8081' }
const REFUSAL = { ours: '401', Envoy: '403' }

// WRITE_MATRIX=1 writes what this run saw into docs/compatibility.md.
t.test('ours and Envoy, with each other and themselves, direct and by a waypoint', async (t) => {
  const lab = await MatrixLab.start(t)
  const texts = new Map<Cell, string>()
  for (const cell of CELLS) {
    const { client, server, via, verdict } = cell
    await t.test(`${client} to ${server}, ${via}: ${verdict}`, async (t) => {
      const seen = await lab.observe(cell)
      if (via === 'waypoint') tunnelToWaypoint(t, cell, seen)
      else tunnelToServer(t, cell, seen)
      if (verdict === 'allow') allowed(t, cell, seen)
      else if (via === 'waypoint') deniedByWaypoint(t, seen)
      else deniedByServer(t, cell, seen)
      texts.set(cell, describe(seen))
    })
  }
  t.equal(lab.leaks, 0, 'nothing that was denied reached an application')
  await t.test('what the waypoint denied, it denied by the path: others get through', async (t) => {
    for (const { client, server } of CELLS.filter(
      ({ via, verdict }) => via === 'waypoint' && verdict === 'deny',
    ))
      t.equal(await lab.otherPath(client, server), PAST_THE_RULE)
  })
  const table = renderMatrix(texts)
  if (process.env['WRITE_MATRIX'] === '1') documentMatrix(table)
  t.equal(documentedMatrix(), table, 'docs/compatibility.md has this run’s table; WRITE_MATRIX=1 writes it')
})

function allowed(t: Test, { client, server, via }: Cell, seen: Observation): void {
  t.match(seen.answer, { status: 200 })
  const direct = via === 'direct'
  const body = JSON.parse('body' in seen.answer ? seen.answer.body : '{}')
  t.match(body, { app: podOf(server, 'server'), path: seen.path })
  const sender = direct ? CLIENT_ADDRESS[client] : WAYPOINT_ADDRESS
  // Envoy dials the application from the pod's own address.
  t.equal(body.from, server === 'ours' ? sender : ADDRESS.Envoy)
  t.equal(body.headers['x-client-identity'], direct ? undefined : spiffe(podOf(client, 'client')))
  t.equal(seen.client.destinationIdentity, spiffe(direct ? podOf(server, 'server') : WAYPOINT))
  t.match(seen.server, {
    source: new RegExp(`^${sender}:`),
    sourceIdentity: spiffe(direct ? podOf(client, 'client') : WAYPOINT),
    policy: undefined,
  })
}

/** No hop in between, and the server's proxy knows the client. */
function tunnelToServer(t: Test, { client, server }: Cell, seen: Observation): void {
  t.same([...seen.hops].sort(), [proxyOf(client, 'client'), proxyOf(server, 'server')].sort())
  t.equal(seen.client.destination, `${ADDRESS[server]}:15008`)
  t.equal(seen.server?.sourceIdentity, spiffe(podOf(client, 'client')))
}

function tunnelToWaypoint(t: Test, { client, server, verdict }: Cell, seen: Observation): void {
  const behind = verdict === 'allow' ? [proxyOf(server, 'server')] : []
  t.same([...seen.hops].sort(), [proxyOf(client, 'client'), WAYPOINT, ...behind].sort())
  t.equal(seen.client.destination, `${WAYPOINT_ADDRESS}:15008`)
  t.equal(seen.waypoint?.sourceIdentity, spiffe(podOf(client, 'client')))
}

function deniedByServer(t: Test, { server }: Cell, seen: Observation): void {
  t.match(seen.answer, { code: 'ECONNRESET' }, 'the connection ends without a byte')
  t.match(seen.client.error, REFUSAL[server])
  t.equal(seen.server?.policy, DENIED_BY[server])
}

function deniedByWaypoint(t: Test, seen: Observation): void {
  t.match(seen.answer, { status: 403, body: 'RBAC: access denied' })
  t.match(seen.waypointHttp, ` code=403 peer=${seen.waypoint?.sourceIdentity} `)
  t.equal(seen.server, undefined)
}

function spiffe(pod: string): string {
  return `spiffe://cluster.local/ns/${pod.replace('/', '/sa/')}`
}
