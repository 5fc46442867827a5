import '../support/own-namespaces.ts'
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { startSeats } from './support/seats.ts'
import { receive } from './support/tunnel-suite.ts'

t.setTimeout(40_000)

const MIB = 1024 * 1024

t.test('IPv6 only: Envoy as waypoint, gateway and legacy sidecar', async (t) => {
  const { lab, waypoint, ingress, egress, eastWest, legacy } = await startSeats(t, { family: 6 })
  for (const seat of [waypoint, ingress, egress, eastWest, legacy]) {
    await t.test(seat.name, async (t) => {
      await using _envoy = await lab.envoy(seat.pod, seat.config(await lab.credentials(seat.id)))
      const client = await seat.dial()
      const accepted = await seat.app.accept()
      const [heard, got] = [receive(accepted), receive(client)]
      client.end(randomBytes(MIB))
      t.equal((await heard).bytes, MIB, 'up')
      t.match(accepted.remoteAddress, /^(fd00:10:244:|2001:db8::)/)
      accepted.end(randomBytes(MIB))
      t.equal((await got).bytes, MIB, 'down, after the client’s end')
    })
  }
})
