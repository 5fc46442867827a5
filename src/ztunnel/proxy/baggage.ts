import type { Baggage } from '../../hbone/index.ts'
import type { Workload } from '../../mesh/index.ts'

/** What a workload tells its peers about itself (wire: baggage header). */
export function workloadBaggage(workload: Workload): Baggage {
  return {
    clusterId: workload.clusterId,
    namespace: workload.namespace,
    workloadType: workload.workloadType,
    workloadName: workload.workloadName,
    serviceName: workload.canonicalName,
    serviceVersion: workload.canonicalRevision,
    region: workload.locality.region,
    zone: workload.locality.zone,
  }
}
