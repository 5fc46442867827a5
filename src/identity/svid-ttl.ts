/** Lifetime of a workload certificate when none is asked for: istiod's DEFAULT_WORKLOAD_CERT_TTL. */
export const DEFAULT_TTL_SECONDS = 86_400
/** A longer lifetime is refused: istiod's MAX_WORKLOAD_CERT_TTL, 90 days. */
export const MAX_TTL_SECONDS = 90 * 86_400
/** A shorter lifetime is refused: below it a certificate ends before its renewal. */
export const MIN_TTL_SECONDS = 5
