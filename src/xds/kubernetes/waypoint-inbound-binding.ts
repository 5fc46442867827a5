import type { ApplicationTunnel } from '../../mesh/model.ts'
import type { Gateway } from './objects-gateway.ts'

/** Annotation of a Gateway: how its pods want what arrives for them: `NONE`, `PROXY` or `PROXY/<port>`. */
export const INBOUND_BINDING_ANNOTATION = 'ambient.istio.io/waypoint-inbound-binding'

/** How a waypoint's own node proxy hands it connections. Undefined when nothing special, or nothing sensible, is asked for. */
export function inboundBindingOf(
  { metadata }: Gateway,
  warn?: (field: string, message: string) => void,
): ApplicationTunnel | undefined {
  const text = metadata.annotations[INBOUND_BINDING_ANNOTATION]
  if (text === undefined || text === 'NONE') return undefined
  const [, digits] = /^PROXY(?:\/([1-9]\d{0,4}))?$/.exec(text) ?? []
  const port = digits === undefined ? undefined : Number(digits)
  if (text === 'PROXY' || (port !== undefined && port <= MAX_PORT)) return { protocol: 'PROXY', port }
  warn?.(
    `metadata.annotations["${INBOUND_BINDING_ANNOTATION}"]`,
    `"${text}" has no effect: expected NONE, PROXY or PROXY/<port>`,
  )
  return undefined
}

const MAX_PORT = 65_535
