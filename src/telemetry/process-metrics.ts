import { readdirSync, readFileSync } from 'node:fs'
import { Counter, Gauge, type OpenMetricsContentType, type Registry } from './prometheus.ts'

/** Registers what the process itself uses; read when scraped. Families that this system cannot tell are left out. */
export function registerProcessMetrics(registry: Registry<OpenMetricsContentType>): void {
  gauge(registry, 'process_open_fds', 'File descriptors that are open (unstable).', openFds)
  gauge(registry, 'process_max_fds', 'File descriptors that may be open: the soft limit (unstable).', maxFds)
  gauge(registry, 'process_resident_memory_bytes', 'Resident memory (unstable).', () =>
    process.memoryUsage.rss(),
  )
  gauge(
    registry,
    'nodejs_heap_size_used_bytes',
    'JavaScript heap in use (unstable).',
    () => process.memoryUsage().heapUsed,
  )
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'User and system CPU time (unstable).',
    registers: [registry],
    collect() {
      const { user, system } = process.cpuUsage()
      this.reset()
      this.inc((user + system) / MICROS_PER_SECOND)
    },
  })
}

const MICROS_PER_SECOND = 1_000_000

function gauge(
  registry: Registry<OpenMetricsContentType>,
  name: string,
  help: string,
  read: () => number | undefined,
): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      const value = read()
      if (value === undefined) this.remove()
      else this.set(value)
    },
  })
}

function openFds(): number | undefined {
  try {
    // The directory that is being read is itself one of them.
    return readdirSync('/proc/self/fd').length - 1
  } catch {
    return undefined
  }
}

function maxFds(): number | undefined {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
    return soft === undefined ? undefined : Number(soft)
  } catch {
    return undefined
  }
}
