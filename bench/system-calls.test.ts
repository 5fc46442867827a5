// How many reads and writes the proxies make for each request and for each
// connection, when there is one at a time. Unlike time, that does not depend on
// what else the machine does: a frame that is written alone, or a read too many,
// shows here. (Bulk is not judged: how much there is to be read at a time is the
// machine's affair.)
import { readFileSync } from 'node:fs'
import t from 'tap'
import { BenchMesh } from './bench-mesh.ts'
import type { Sample } from './measures/measure.ts'
import { ours } from './peers/node-proxy.ts'
import type { RunningProxy } from './peers/peer.ts'
import { HTTP_PORT } from './seat.ts'

/** Half as many again as there are: 2.0 and 2.0 for a request, 4.8 and 4.0 for a connection. */
const BOUNDS = {
  closed: { what: 'request', reads: 3, writes: 3 },
  connect: { what: 'connection', reads: 7.2, writes: 6 },
} as const

t.test('reads and writes of both proxies', async (t) => {
  const mesh = await BenchMesh.start('namespaces', [{ name: 'ours', captured: true }])
  t.teardown(() => mesh.close())
  const [seat] = mesh.seats
  if (seat === undefined) throw new Error('there is no seat')
  const proxies = await ours().start(seat, { variant: 'normal' })
  t.teardown(() => Promise.all(proxies.map(({ process }) => process.stop())))
  const load = async (mode: string): Promise<number> => {
    const argv = [mode, seat.address, String(HTTP_PORT), '/', '1', '1']
    const { requests = 0, failed } = await mesh.load<Sample>(seat, 'pod', 'http.ts', argv, 1)
    t.equal(failed, 0)
    return requests
  }
  // The first one opens the tunnel.
  await load('connect')
  for (const [mode, { what, ...bounds }] of Object.entries(BOUNDS)) {
    const rounds: Calls[][] = []
    while (
      rounds.length < MAX_ROUNDS &&
      !rounds.some((round) => round.every((calls) => isWithin(calls, bounds)))
    ) {
      const before = proxies.map(callsOf)
      const count = await load(mode)
      t.ok(count > 10, `${count} of them`)
      rounds.push(proxies.map((proxy, index) => each(callsOf(proxy), before[index], count)))
    }
    proxies.forEach(({ role }, index) => {
      for (const kind of ['reads', 'writes'] as const) {
        const fewest = Math.min(...rounds.map((round) => round[index]?.[kind] ?? Number.NaN))
        t.ok(fewest >= 1, 'the proxy is the one that was used, and its calls are counted')
        t.ok(fewest <= bounds[kind], `${role}: ${fewest.toFixed(2)} ${kind} for each ${what}`)
      }
    })
  }
})

interface Calls {
  readonly reads: number
  readonly writes: number
}

/** What else a process does in a round, the collector's threads above all, only ever adds to the count. */
const MAX_ROUNDS = 5

function isWithin(calls: Calls, bounds: Calls): boolean {
  return calls.reads <= bounds.reads && calls.writes <= bounds.writes
}

function each(after: Calls, before: Calls | undefined, count: number): Calls {
  return {
    reads: (after.reads - (before?.reads ?? 0)) / count,
    writes: (after.writes - (before?.writes ?? 0)) / count,
  }
}

/** read(2), write(2) and their kin, which is what Node uses on sockets (proc(5), /proc/PID/io). */
function callsOf({ process: { pid } }: RunningProxy): Calls {
  const io = readFileSync(`/proc/${pid}/io`, 'utf8')
  const of = (name: string): number => Number(new RegExp(`^${name}: (\\d+)`, 'm').exec(io)?.[1])
  return { reads: of('syscr'), writes: of('syscw') }
}
