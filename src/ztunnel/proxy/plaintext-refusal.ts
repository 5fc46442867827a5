import type { Socket } from 'node:net'
import { authorize, formatSocketAddress, type MeshView, type Route } from '../../mesh/index.ts'
import type { PumpedBytes } from './relay.ts'

/** Plain TCP to a workload of the mesh that has no tunnel. */
export type PlainRoute = Extract<Route, { kind: 'tcp' }>

/**
 * Why a workload that gets plaintext closed before it said a word, if its own
 * policies tell: a sidecar that takes nothing but mutual TLS (PeerAuthentication
 * STRICT) just closes. To be called when both are connected; the answer is for
 * the end. Undefined when the client closed first or bytes came back.
 */
export function watchForRefusal(
  mesh: MeshView,
  route: PlainRoute,
  downstream: Socket,
  upstream: Socket,
): (bytes: PumpedBytes) => string | undefined {
  let closedFirst = false
  const onEnd = (): void => {
    closedFirst ||= !downstream.readableEnded && !downstream.destroyed
    upstream.off('end', onEnd).off('error', onEnd)
  }
  upstream.once('end', onEnd).once('error', onEnd)
  return ({ received }) => (closedFirst && received === 0 ? refusal(mesh, route, downstream) : undefined)
}

function refusal(
  mesh: MeshView,
  { workload, dial }: PlainRoute,
  { remoteAddress }: Socket,
): string | undefined {
  if (workload === undefined) return undefined
  const verdict = authorize(mesh.policiesFor(workload), {
    sourceIdentity: undefined,
    sourceAddress: remoteAddress ?? '',
    destinationAddress: dial.address,
    destinationPort: dial.port,
  })
  if (verdict.allowed) return undefined
  const name = `${workload.namespace}/${workload.name}`
  return `${formatSocketAddress(dial)} closed without an answer: ${name} has no tunnel, so it got plaintext, and its policies refuse who proves no identity (${verdict.message}); capture it, or have its sidecar take HBONE (label networking.istio.io/tunnel=http)`
}
