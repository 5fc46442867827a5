import { TCP_PORT } from '../seat.ts'
import { cpuPer, type Measure, type Sample } from './measure.ts'

/** How fast bytes go one way or both, and what a gigabyte costs. */
export function bulk(direction: 'both' | 'down' | 'up', connections: number): Measure {
  return {
    name: `bulk-${direction}-${connections}`,
    title: `bulk ${direction === 'both' ? 'both ways' : direction}, ${connections} conn`,
    figures: [
      { key: 'gbps', title: 'throughput', unit: 'Gbit/s', digits: 2 },
      { key: 'cpuPerGb', title: 'CPU per GB', unit: 's', digits: 2 },
    ],
    quick: connections === 1 && direction !== 'both',
    run: ({ mesh, seat, options: { seconds } }) => {
      const argv = [direction, seat.address, TCP_PORT, seconds, connections].map(String)
      return mesh.load<Sample>(seat, 'pod', 'bulk.ts', argv, seconds)
    },
    derive: ({ bytes = 0 }, accounts) => cpuPer('cpuPerGb', bytes / 1e9, accounts),
  }
}
