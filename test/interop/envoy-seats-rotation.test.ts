import '../support/own-namespaces.ts'
import t, { type Test } from 'tap'
import { certificatesOf } from '../support/certificates.ts'
import { until } from '../support/until.ts'
import { refusesClient } from './support/credentials-suite.ts'
import type { EnvoyProcess } from './support/envoy-process.ts'
import { openAtOnce } from './support/many-tunnels.ts'
import { type Seat, type SeatConfig, type Seats, startSeats } from './support/seats.ts'
import { receive, type TunnelEnds } from './support/tunnel-suite.ts'

t.setTimeout(120_000)

/** Of the first certificates: time enough for four Envoys to start. The ones that replace them outlive the test. */
const LIFETIME_S = 12
const LONG_S = 3600
/** One more than Envoy takes on a connection: the next connection shows a certificate again. */
const TUNNELS = 101
/** Whose tunnels to our server bear the certificate that nobody replaces. */
const STALE_PORT = 9001

interface Rotating {
  readonly seat: Seat
  readonly envoy: EnvoyProcess
  readonly replace: (seconds: number) => Promise<void>
  /** Opened under the first certificate. */
  readonly long: TunnelEnds
}

t.test(
  'certificates are replaced on both sides of a waypoint or gateway, and the first ones expire',
  async (t) => {
    const { lab, ...seats } = await startSeats(t, { svidTtl: `${LIFETIME_S}s` })
    const { waypoint, egress, eastWest, ingress } = seats
    const rotating: Rotating[] = []
    for (const seat of [waypoint, egress, eastWest, ingress]) {
      const stale = await lab.credentials(seat.id, LIFETIME_S)
      rotating.push(await start(lab, seat, { unshared: true, origins: { [STALE_PORT]: stale } }))
    }
    const ours = await ourSerials(lab)
    const issuedAt = performance.now()
    for (const { replace } of rotating) await replace(LONG_S)
    await until(() => performance.now() - issuedAt > (LIFETIME_S + 1) * 1000, 'the first certificates expire')

    t.ok(ours.length >= 2, `${ours.length} of ours`)
    const now = await ourSerials(lab)
    t.notOk(
      now.some((serial) => ours.includes(serial)),
      'none of our first ones is left',
    )
    for (const { seat, envoy, long } of rotating) {
      await t.test(`${seat.name}: new connections have the new one, an open tunnel goes on`, async (t) => {
        t.equal(await openAtOnce(TUNNELS, () => seat.dial(), seat.app), TUNNELS)
        if (seat.downstream !== undefined) {
          const connections = await envoy.stat(`${seat.downstream}.downstream_cx_total`)
          t.ok(connections > 1, 'our client has seen the new one')
        }
        await goesOn(t, long)
      })
    }
    for (const seat of [waypoint, ingress]) {
      await t.test(`${seat.name}: one that nobody replaces is refused by our server, and logged`, (t) =>
        refusesClient(
          t,
          { proxy: lab.mesh.component('ztunnel@node-b'), dial: seat.dial, app: seat.app },
          STALE_PORT,
          'certificate is expired',
        ),
      )
    }
  },
)

async function start(lab: Seats['lab'], seat: Seat, config: SeatConfig): Promise<Rotating> {
  const { tls, replace } = await lab.watchedCredentials(seat.id ?? {}, LIFETIME_S)
  const envoy = await lab.envoy(seat.pod, seat.config(tls, config))
  const client = await seat.dial()
  const got = receive(client)
  client.write('question')
  return { seat, envoy, replace, long: { client, app: await seat.app.acceptBefore(got) } }
}

/** Of the leaves that our proxies bear in the pods of both nodes. */
async function ourSerials({ mesh }: Seats['lab']): Promise<string[]> {
  const dumps = await Promise.all(['node-a', 'node-b'].map((node) => certificatesOf(mesh, node)))
  return dumps.flat().flatMap(({ chain }) => chain.slice(0, 1).map(({ serialNumber }) => serialNumber))
}

async function goesOn(t: Test, { client, app }: TunnelEnds): Promise<void> {
  client.end(' still?')
  t.equal((await receive(app)).text, 'question still?')
  const got = receive(client)
  app.end('yes')
  t.equal((await got).text, 'yes', 'both ways')
}
