import { readFileSync } from 'node:fs'
import { usageOf } from '../accounting.ts'
import { TCP_PORT } from '../seat.ts'
import type { Measure, MeasureContext, Sample } from './measure.ts'

/** What a connection that does nothing keeps in each proxy: resident memory with so many, less that without. */
export function idle(): Measure {
  return {
    name: 'idle',
    title: 'idle tunnelled connections',
    figures: [
      { key: 'bytesOut', title: 'each, out', unit: 'KB', digits: 1 },
      { key: 'bytesIn', title: 'each, in', unit: 'KB', digits: 1 },
      { key: 'count', title: 'connections', unit: '', digits: 0 },
    ],
    fresh: true,
    quick: true,
    proxiesOnly: true,
    run,
  }
}

async function run({ mesh, seat, proxies, options }: MeasureContext): Promise<Sample> {
  const count = Math.min(options.idleConnections, Math.floor((descriptorLimit() - SPARE) / 2))
  const open = (connections: number) =>
    mesh.keep(seat, 'out', 'idle.ts', [seat.address, String(TCP_PORT), String(connections)])
  // The first ones load code and make the tunnel: that is not a connection's cost.
  const first = await open(WARM_UP)
  await settle()
  const before = proxies.map(({ process }) => usageOf(process.pid).residentBytes)
  const all = await open(count)
  await settle()
  const sample: Record<string, number> = { count }
  proxies.forEach(({ role, process }, index) => {
    const grown = usageOf(process.pid).residentBytes - (before[index] ?? 0)
    sample[role === 'out' ? 'bytesOut' : 'bytesIn'] = grown / count / KILOBYTE
  })
  await Promise.all([mesh.end(first), mesh.end(all)])
  return sample
}

/** Soft limit of this process, which all others have from it. A proxy may need two for each connection. */
function descriptorLimit(): number {
  const line = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
  return line === 'unlimited' ? Number.POSITIVE_INFINITY : Number(line)
}

/** For what was only needed to open them to be given back. */
function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
}

const WARM_UP = 100
const SPARE = 1_000
const SETTLE_MS = 1_000
const KILOBYTE = 1024
