import { usageOf } from '../accounting.ts'
import type { RunningProxy } from '../peers/peer.ts'
import { CONNECTION_FIGURES, connectLoad } from './connections.ts'
import type { Figure, Measure, Sample } from './measure.ts'

/** From the start of a process until it would take connections, and its memory then. */
export function start(): Measure {
  return {
    name: 'start',
    title: 'start to ready',
    figures: READY,
    fresh: true,
    quick: true,
    proxiesOnly: true,
    run: async ({ proxies }) => ready(proxies),
  }
}

/** The same with a mesh of some size, and then a connection's cost there. */
export function meshSize(variant: 'large-mesh' | 'small-mesh'): Measure {
  return {
    name: variant === 'large-mesh' ? 'mesh-large' : 'mesh-small',
    title: variant === 'large-mesh' ? 'large mesh' : 'mesh of 100 workloads',
    figures: [
      ...READY_TIMES,
      { key: 'peakOut', title: 'peak memory out', unit: 'MB', digits: 0 },
      { key: 'peakIn', title: 'peak memory in', unit: 'MB', digits: 0 },
      ...CONNECTION_FIGURES.filter(({ key }) => key === 'rps' || key === 'cpuPerConnection'),
    ],
    variant,
    fresh: true,
    quick: true,
    proxiesOnly: true,
    run: async (context) => {
      const atStart = ready(context.proxies)
      // Code that has not run yet is compiled first: that is no matter of size.
      await connectLoad(context)
      const before = cpuOf(context.proxies)
      const used = await connectLoad(context)
      const milliseconds = (cpuOf(context.proxies) - before) * 1000
      return { ...atStart, ...used, cpuPerConnection: milliseconds / (used['requests'] ?? 0) }
    },
  }
}

function ready(proxies: readonly RunningProxy[]): Sample {
  const sample: Record<string, number> = {}
  for (const { role, readySeconds, process } of proxies) {
    const { residentBytes, anonymousBytes, peakBytes } = usageOf(process.pid)
    sample[role === 'out' ? 'readyOut' : 'readyIn'] = readySeconds
    sample[role === 'out' ? 'residentOut' : 'residentIn'] = residentBytes / MEGABYTE
    sample[role === 'out' ? 'anonymousOut' : 'anonymousIn'] = anonymousBytes / MEGABYTE
    sample[role === 'out' ? 'peakOut' : 'peakIn'] = peakBytes / MEGABYTE
  }
  return sample
}

function cpuOf(proxies: readonly RunningProxy[]): number {
  return proxies.reduce((total, { process }) => total + usageOf(process.pid).cpuSeconds, 0)
}

const MEGABYTE = 1e6

const READY_TIMES: readonly Figure[] = [
  { key: 'readyOut', title: 'ready, out', unit: 's', digits: 2 },
  { key: 'readyIn', title: 'ready, in', unit: 's', digits: 2 },
]
const READY: readonly Figure[] = [
  ...READY_TIMES,
  { key: 'residentOut', title: 'memory when ready, out', unit: 'MB', digits: 0 },
  { key: 'residentIn', title: 'memory when ready, in', unit: 'MB', digits: 0 },
  { key: 'anonymousOut', title: 'of it its own, out', unit: 'MB', digits: 0 },
  { key: 'anonymousIn', title: 'of it its own, in', unit: 'MB', digits: 0 },
]
