import '../support/own-namespaces.ts'
import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { until } from '../support/until.ts'
import type { EnvoyProcess } from './support/envoy-process.ts'
import type { InteropLab } from './support/interop-lab.ts'
import { type Seat, type SeatConfig, startSeats } from './support/seats.ts'
import { bulk, receive, serverFirst, type TunnelEnds } from './support/tunnel-suite.ts'

t.setTimeout(60_000)

const MIB = 1024 * 1024
const SOMEBODY_ELSE = ['spiffe://cluster.local/ns/app/sa/somebody-else']

/** A port of a seat that leads to a refusal, and who says so. */
interface Refusal {
  readonly seat: Seat
  readonly port: number
  /** Pod and port of the application that must see nothing of it. Default: the seat's own. */
  readonly guarded?: readonly [pod: string, port: number]
  readonly config?: SeatConfig
  /** Of our server. Default: Envoy's own, `stat`. */
  readonly policy?: string
  readonly stat?: string
}

t.test('IPv6 only: Envoy as waypoint, sandwich, gateway and legacy sidecar', async (t) => {
  const { lab, waypoint, sandwich, ingress, egress, eastWest, legacy } = await startSeats(t, { family: 6 })
  const toServer = {
    port: 9001,
    guarded: ['app/server', 9001],
    config: { targets: { 9001: 9001 } },
    policy: 'app/deny-9001',
  } as const
  const config = { only: { 9001: SOMEBODY_ELSE } }
  const refusals: readonly Refusal[] = [
    { seat: waypoint, ...toServer },
    { seat: sandwich, ...toServer },
    { seat: ingress, ...toServer },
    { seat: eastWest, port: 9003, guarded: ['app/server', 9003], policy: 'app/deny-client-9003' },
    // The outside has no policies: it is the gateway that refuses the client.
    { seat: egress, port: 9001, config, stat: 'vip_fd00:10:96::200_9001' },
    { seat: legacy, port: 9001, guarded: ['legacy/permissive', 9001], config, stat: 'inbound_9001' },
  ]
  for (const refusal of refusals) {
    const { seat } = refusal
    await t.test(seat.name, async (t) => {
      const tls = await lab.credentials(seat.id)
      await using envoy = await lab.envoy(seat.pod, seat.config(tls, refusal.config))
      await t.test('allowed, over IPv6 to the end, half-closed', (t) => carries(t, seat))
      await t.test('64 MiB each way at once arrive unchanged', (t) => bulk(t, () => open(seat)))
      await t.test('the server may speak first', (t) => serverFirst(t, () => open(seat)))
      await t.test(`denied by ${refusal.policy ?? 'Envoy'}`, (t) => denies(t, lab, envoy, refusal))
    })
  }
})

async function open(seat: Seat): Promise<TunnelEnds> {
  const client = await seat.dial()
  return { client, app: await seat.app.accept() }
}

async function carries(t: Test, seat: Seat): Promise<void> {
  const client = await seat.dial()
  const got = receive(client)
  client.end(randomBytes(MIB))
  const accepted = await seat.app.acceptBefore(got)
  t.equal((await receive(accepted)).bytes, MIB, 'up')
  t.match(accepted.remoteAddress, /^(fd00:10:244:|2001:db8::)/)
  accepted.end(randomBytes(MIB))
  t.equal((await got).bytes, MIB, 'down, after the client’s end')
}

async function denies(
  t: Test,
  lab: InteropLab,
  envoy: EnvoyProcess,
  { seat, port, guarded, policy, stat }: Refusal,
): Promise<void> {
  const app = guarded === undefined ? seat.app : lab.app(...guarded, t, 6)
  const [before, connections] = [lab.mesh.journal.length, app.connections]
  const client = await seat.dial(port)
  client.write('hello')
  t.equal((await receive(client)).bytes, 0, 'the end without a byte')
  if (policy === undefined) {
    // RBAC judges at the first byte, by when Envoy has dialled the application.
    if (app.connections > connections) t.equal((await receive(await app.accept())).bytes, 0)
    await envoy.counted(`${stat}.rbac.denied`, 1)
    return
  }
  t.equal(app.connections, connections)
  const fits = (): boolean => lab.mesh.journal.since(before).some((record) => record.policy === policy)
  await until(fits, `the access log names ${policy}`)
}
