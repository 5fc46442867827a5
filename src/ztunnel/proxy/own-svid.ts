import type { Svid, SvidSource } from '../../identity/index.ts'
import { identityUri, type Workload, workloadIdentity } from '../../mesh/index.ts'
import { errorText, ProxyError } from '../errors.ts'

/**
 * How long a connection waits for its workload's first certificate: as long as
 * for a connect. Istio's ztunnel waits without end; the client would learn
 * nothing but its own time-out.
 */
export const SVID_WAIT_MS = 10_000

/**
 * A workload's own certificate. Rejects with ProxyError `identity`, which says
 * what to check: its absence is no connect error.
 */
export async function svidOf(svids: SvidSource, workload: Workload, waitMs = SVID_WAIT_MS): Promise<Svid> {
  const id = workloadIdentity(workload)
  const known = svids.peek(id)
  if (known !== undefined) return known
  const deadline = new AbortController()
  const timer = setTimeout(() => deadline.abort(), waitMs)
  try {
    return await svids.get(id, { signal: deadline.signal })
  } catch (error) {
    const why = deadline.signal.aborted
      ? `no certificate for ${identityUri(id)} within ${waitMs} ms; is the CA reachable? See certificates in /config_dump`
      : errorText(error)
    throw new ProxyError('identity', `identity error: ${why}`, { cause: error })
  } finally {
    clearTimeout(timer)
  }
}
