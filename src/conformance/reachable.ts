import { CheckContext, type Target } from './context.ts'
import { ConformanceError } from './errors.ts'

/** A good client gets in. Throws `ConformanceError` TARGET_UNREACHABLE otherwise: no other check would say anything. */
export async function assertReachable(target: Target): Promise<void> {
  using context = new CheckContext(target)
  const found = await context.attempt({}, target.identity.good)
  if (found.kind === 'served') return
  const message = `${target.host}:${target.port} does not serve us: ${found.why}. Is it an HBONE server, reachable from here, and are the certificates of its mesh?`
  throw new ConformanceError('TARGET_UNREACHABLE', message)
}
