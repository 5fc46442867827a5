/** Workloads and services: `istio.workload.Address`. */
export const ADDRESS_TYPE = 'type.googleapis.com/istio.workload.Address'
/** L4 policies: `istio.security.Authorization`. */
export const AUTHORIZATION_TYPE = 'type.googleapis.com/istio.security.Authorization'
