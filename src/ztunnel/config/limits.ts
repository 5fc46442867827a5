import type { Config } from './model.ts'
import type { FileSystemPort, Values } from './values.ts'

/** About 1 GB of idle tunnels: one workload may not take more of a node's proxy, however many descriptors it has. */
export const MAX_CONNECTIONS_PER_WORKLOAD = 20_000

/** A connection is the socket that was accepted and the one that was dialled. */
const DESCRIPTORS_PER_CONNECTION = 2

/** Share of the process's descriptors that one pod of many may take, and the only workload of its own proxy. */
const SHARE = { shared: 1 / 4, dedicated: 3 / 4 }

/** Where the system does not tell: the kernel's own default limit. */
const DEFAULT_DESCRIPTORS = 4096

/** Text that a scraper downloads: see `DEFAULT_MAX_LABEL_SETS` of the traffic metrics. */
const DEFAULT_METRICS_MAX_LABEL_SETS = 2000

/** What can be set: anything beyond it is a typing error. */
const MAX_LIMIT = 10_000_000

/** What one workload, and what the metrics, may take of the process. Both variables are ours. */
export function limits(
  values: Values,
  files: FileSystemPort,
  mode: Config['proxyMode'],
): Pick<Config, 'maxConnectionsPerWorkload' | 'metricsMaxLabelSets'> {
  const byDescriptors = Math.floor((maxDescriptors(files) * SHARE[mode]) / DESCRIPTORS_PER_CONNECTION)
  const connections = Math.max(1, Math.min(MAX_CONNECTIONS_PER_WORKLOAD, byDescriptors))
  return {
    maxConnectionsPerWorkload: values.integer(
      'ZTUNNEL_MAX_CONNECTIONS_PER_WORKLOAD',
      connections,
      1,
      MAX_LIMIT,
    ),
    metricsMaxLabelSets: values.integer(
      'ZTUNNEL_METRICS_MAX_LABEL_SETS',
      DEFAULT_METRICS_MAX_LABEL_SETS,
      1,
      MAX_LIMIT,
    ),
  }
}

/** The soft limit; Node raises it to the hard one when it starts. */
function maxDescriptors(files: FileSystemPort): number {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(files.readText('/proc/self/limits'))?.[1]
    return soft === undefined ? DEFAULT_DESCRIPTORS : Number(soft)
  } catch {
    return DEFAULT_DESCRIPTORS
  }
}
