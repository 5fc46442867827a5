import '../support/own-namespaces.ts'
import t from 'tap'
import { openAtOnce } from './support/many-tunnels.ts'
import { type Seat, startSeats } from './support/seats.ts'
import { streamsToEnvoy, streamsToUs } from './support/streams-suite.ts'

t.setTimeout(120_000)

t.test('100 and 101 tunnels at once through each seat', async (t) => {
  const { lab, waypoint, sandwich, ingress, egress, eastWest, legacy } = await startSeats(t)
  const restartable = async <S extends Seat>(seat: S) => {
    const config = seat.config(await lab.credentials(seat.id))
    return { ...seat, start: () => lab.envoy(seat.pod, config), dial: () => seat.dial() }
  }

  for (const seat of [waypoint, egress, eastWest]) {
    for (const [count, connections] of [
      [100, 1],
      [101, 2],
    ] as const) {
      await t.test(`${seat.name}, ${count} from nothing: ${connections} connection(s) of ours`, async (t) => {
        const { downstream = '', ...more } = await restartable(seat)
        await using _ = await streamsToEnvoy(t, { ...more, downstream }, count, connections, {
          resets: seat === eastWest,
        })
      })
    }
  }

  for (const seat of [waypoint, ingress]) {
    for (const [count, connections] of [
      [100, 1],
      [101, 1],
      [201, 2],
    ] as const) {
      await t.test(`${seat.name}, ${count}: ${connections} connection(s) of Envoy’s to us`, async (t) => {
        const { upstream = '', ...more } = await restartable(seat)
        await streamsToUs(t, { ...more, upstream }, count, connections)
      })
    }
  }

  for (const seat of [sandwich, legacy]) {
    await t.test(`${seat.name}: a plain connection to Envoy for each of 101`, async (t) => {
      const { start, dial, app } = await restartable(seat)
      await using _ = await start()
      for (const count of [100, 101]) t.equal(await openAtOnce(count, dial, app), count)
    })
  }
})
