import '../support/own-namespaces.ts'
import t from 'tap'
import { drains, restarts } from './support/drain-suite.ts'
import { startSeats } from './support/seats.ts'

t.setTimeout(120_000)

t.test('Envoy drains or dies under traffic, in the seats between two pods and at the edges', async (t) => {
  const { lab, ...seats } = await startSeats(t)
  for (const seat of Object.values(seats)) {
    await t.test(seat.name, async (t) => {
      const config = seat.config(await lab.credentials(seat.id))
      const start = (argv?: readonly string[]) => lab.envoy(seat.pod, config, argv)
      const restartable = { start, dial: () => seat.dial(), app: seat.app, downstream: seat.downstream }
      const goaway = seat.downstream === undefined ? '' : 'GOAWAY: '
      await t.test(`${goaway}no connection fails, old ones finish`, (t) => drains(t, restartable))
      for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
        await t.test(`${signal} and a new start: open connections end, the next ones work`, (t) =>
          restarts(t, restartable, signal),
        )
      }
    })
  }
})
