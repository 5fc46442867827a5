import type { Test } from 'tap'
import type { Restartable } from './drain-suite.ts'
import type { EnvoyProcess } from './envoy-process.ts'
import { openAtOnce } from './many-tunnels.ts'

/** So many tunnels at once, from nothing, over so many connections of ours to Envoy; and the same again over the same. */
export async function streamsToEnvoy(
  t: Test,
  { start, dial, app, downstream }: Restartable & { readonly downstream: string },
  count: number,
  connections: number,
  // Of double HBONE each end lets go of the outer stream when the inner connection is over.
  { resets = false } = {},
): Promise<EnvoyProcess> {
  const envoy = await start()
  let active = 0
  const answered = await openAtOnce(count, dial, app, async () => {
    active = await envoy.stat(`${downstream}.downstream_cx_active`)
  })
  t.equal(answered, count)
  t.equal(active, connections)
  if (!resets) t.equal(await envoy.stat(`${downstream}.downstream_rq_rx_reset`), 0)
  t.equal(await openAtOnce(count, dial, app), count, 'and again')
  t.equal(await envoy.stat(`${downstream}.downstream_cx_total`), connections)
  return envoy
}

/** So many tunnels at once over so many connections of Envoy's to us, which it has known before. */
export async function streamsToUs(
  t: Test,
  { start, dial, app, upstream }: Restartable & { readonly upstream: string },
  count: number,
  connections: number,
): Promise<void> {
  await using envoy = await start()
  t.equal(await openAtOnce(1, dial, app), 1, 'by when Envoy knows our limit of 200')
  t.equal(await openAtOnce(count, dial, app), count)
  for (const line of envoy.lines) if (line.includes('flags=U')) t.comment(line)
  t.equal(await envoy.stat(`cluster.${upstream}.upstream_cx_total`), connections)
}
