import type { WorkloadDump } from '../pods.ts'
import type { TrackedConnection } from '../proxy/connection-tracker.ts'

/** `workloadState` of the config dump (wire/ztunnel 13.1): by uid, with the live connections of each. */
export async function dumpWorkloads(
  workloads: Iterable<[string, WorkloadDump]>,
): Promise<Record<string, unknown>> {
  const dump: Record<string, unknown> = {}
  for (const [uid, { state, info, error, proxy }] of workloads) {
    dump[uid] = {
      state,
      info,
      ...(error === undefined ? {} : { error }),
      ...(proxy === undefined ? {} : { connections: dumpConnections(await proxy.connections()) }),
    }
  }
  return dump
}

function dumpConnections(connections: Iterable<TrackedConnection>): Record<string, unknown[]> {
  const inbound: unknown[] = []
  const outbound: unknown[] = []
  for (const { direction, source, originalDestination, actualDestination, protocol } of connections) {
    const entry = { src: source, originalDst: originalDestination, actualDst: actualDestination, protocol }
    if (direction === 'inbound') inbound.push(entry)
    else outbound.push(entry)
  }
  return { inbound, outbound }
}
