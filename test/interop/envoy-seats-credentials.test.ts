import '../support/own-namespaces.ts'
import t from 'tap'
import type { TlsFiles } from '../../src/sidecar/index.ts'
import { badClients, refusesClient, refusesServers } from './support/credentials-suite.ts'
import { PORTS, startSeats } from './support/seats.ts'
import { receive } from './support/tunnel-suite.ts'

t.setTimeout(120_000)

t.test('a waypoint or gateway must prove who it is, on either side of it', async (t) => {
  const { lab, waypoint, ingress, egress, eastWest } = await startSeats(t)

  for (const seat of [waypoint, egress, eastWest]) {
    await t.test(`our outbound proxy and the ${seat.name}`, async (t) => {
      const { id = {}, pod, app, downstream = '' } = seat
      const start = (tls: TlsFiles) => lab.envoy(pod, seat.config(tls))
      await refusesServers(t, { lab, id, start, dial: () => seat.dial(), app, downstream })
    })
  }

  for (const seat of [waypoint, ingress]) {
    await t.test(`our inbound proxy and the ${seat.name}`, async (t) => {
      const { id = {}, pod, dial, app } = seat
      const bad = (await badClients(lab, id)).map((one, index) => ({ ...one, port: PORTS[index + 1] ?? 0 }))
      const origins = Object.fromEntries(bad.map(({ port, tls }) => [port, tls]))
      await using _envoy = await lab.envoy(pod, seat.config(await lab.credentials(id), { origins }))
      const good = await dial()
      const accepted = await app.accept()
      const proxy = lab.mesh.component('ztunnel@node-b')
      for (const { what, port, reason } of bad) {
        await t.test(`${what}: refused, logged, and no application sees it`, (t) =>
          refusesClient(t, { proxy, dial, app }, port, reason),
        )
      }
      good.end('still here')
      t.equal((await receive(accepted)).text, 'still here', 'the tunnel of a good one is not touched')
      accepted.end('yes')
      t.equal((await receive(good)).text, 'yes')
    })
  }
})
