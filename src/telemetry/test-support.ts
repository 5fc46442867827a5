import type { Workload } from '../mesh/model.ts'
import { aWorkload } from '../mesh/test-support.ts'
import type { Clock } from './clock.ts'

/** A clock that stands still until told. */
export class ManualClock implements Clock {
  epochMs: number
  elapsedMs = 0

  constructor(start = '2026-01-02T03:04:05.678Z') {
    this.epochMs = Date.parse(start)
  }

  now(): number {
    return this.epochMs
  }

  monotonic(): number {
    return this.elapsedMs
  }

  advance(ms: number): void {
    this.epochMs += ms
    this.elapsedMs += ms
  }
}

/** A destination that keeps its lines. */
export class Lines {
  readonly lines: string[] = []

  write(line: string): void {
    this.lines.push(line)
  }
}

/** A pod with a name of its own for each label that metrics and the access log tell apart. */
export function workload(name: string, overrides: Partial<Workload> = {}): Workload {
  return aWorkload({
    name,
    serviceAccount: name,
    addresses: ['10.0.0.5'],
    node: 'node-1',
    workloadName: `${name}-deploy`,
    canonicalName: `${name}-app`,
    locality: { region: 'r1', zone: 'z1', subzone: '' },
    ...overrides,
  })
}
