/** The metadata key by which a node's proxy names a workload's identity in a certificate request (Istio's CA). */
export const IMPERSONATED_IDENTITY = 'ImpersonatedIdentity'
