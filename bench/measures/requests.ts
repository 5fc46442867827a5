import { httpLoad } from './http-load.ts'
import { cpuPer, type Figure, type Measure } from './measure.ts'

/** Requests of 128 bytes on connections that stay, each with one at a time: how many, and how long each takes. */
export function requests(connections: number): Measure {
  return {
    name: `requests-${connections}`,
    title: `keep-alive, ${connections} conn`,
    figures: [{ key: 'rps', title: 'requests/s', unit: '', digits: 0 }, ...LATENCY, CPU],
    quick: connections === 64,
    run: (context) => httpLoad(context, { mode: 'closed', connections, seconds: context.options.seconds }),
    derive: ({ requests: count = 0 }, accounts) => cpuPer('cpuPerRequest', count, accounts, 1e6),
  }
}

/** The same at a fixed rate, whatever the answers do: what waits behind a stall counts as slow. */
export function fixedRate(rate: number, connections: number): Measure {
  return {
    name: `rate-${rate}`,
    title: `fixed rate ${rate}/s, ${connections} conn`,
    figures: [...LATENCY, CPU],
    run: (context) =>
      httpLoad(context, { mode: 'open', connections, rate, seconds: context.options.seconds }),
    derive: ({ requests: count = 0 }, accounts) => cpuPer('cpuPerRequest', count, accounts, 1e6),
  }
}

/** Istio's published load: 1,000 requests of 1 KB per second, for a while. */
export function steady(): Measure {
  return {
    name: 'steady',
    title: 'steady 1,000/s of 1 KB, 16 conn',
    figures: [
      { key: 'vcpuOut', title: 'vCPU out', unit: '', digits: 3 },
      { key: 'vcpuIn', title: 'vCPU in', unit: '', digits: 3 },
      { key: 'peakOut', title: 'peak memory out', unit: 'MB', digits: 0 },
      { key: 'peakIn', title: 'peak memory in', unit: 'MB', digits: 0 },
      ...LATENCY,
    ],
    fresh: true,
    once: true,
    quick: true,
    proxiesOnly: true,
    run: (context) =>
      httpLoad(context, {
        mode: 'open',
        path: '/1k',
        connections: 16,
        rate: 1_000,
        seconds: context.options.steadySeconds,
      }),
    derive: ({ seconds = 1 }, accounts) => {
      const of = (role: string) => accounts.find((account) => account.role === role)
      return {
        vcpuOut: (of('out')?.cpuSeconds ?? Number.NaN) / seconds,
        vcpuIn: (of('in')?.cpuSeconds ?? Number.NaN) / seconds,
        peakOut: (of('out')?.peakBytes ?? Number.NaN) / MEGABYTE,
        peakIn: (of('in')?.peakBytes ?? Number.NaN) / MEGABYTE,
      }
    },
  }
}

const MEGABYTE = 1e6

const LATENCY: readonly Figure[] = [
  { key: 'p50ms', title: 'p50', unit: 'ms', digits: 2 },
  { key: 'p99ms', title: 'p99', unit: 'ms', digits: 2 },
  { key: 'p999ms', title: 'p99.9', unit: 'ms', digits: 2 },
]
const CPU: Figure = { key: 'cpuPerRequest', title: 'CPU per request', unit: 'µs', digits: 0 }
