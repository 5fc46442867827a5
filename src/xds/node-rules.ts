import { Code, ConnectError } from '@connectrpc/connect'
import ipaddr from 'ipaddr.js'
import type { Node } from '../gen/envoy/service/discovery/v3/discovery_pb.ts'
import type { SpiffeId } from '../identity/spiffe-id.ts'

/** What a client says of itself in the first request of a stream. */
export interface ProxyNode {
  /** `<type>~<ip>~<name>.<namespace>~<namespace>.svc.<domain>` */
  readonly id: string
  readonly type: string
  /** Empty when the client does not say. */
  readonly namespace: string
  readonly serviceAccount: string
  readonly nodeName: string
  readonly version: string
}

/** Who the client has proven to be. */
export interface ProvenCaller {
  readonly id: SpiffeId
  /** The Kubernetes node that its token is bound to. */
  readonly node?: string
  /** When the proof ends, milliseconds since the epoch; a stream ends with it. Undefined: never. */
  readonly expiresAt?: number
}

/** Checks a client's node as istiod does. Throws `ConnectError` InvalidArgument with what is wrong. */
export function parseNode(node: Node | undefined): ProxyNode {
  if (node === undefined || node.id === '')
    throw refuse('missing node information: the first request must have it')
  if (node.id.length > MAX_TEXT_CHARS)
    throw refuse(`node id of ${node.id.length} characters; at most ${MAX_TEXT_CHARS} are read`)
  const parts = node.id.split('~')
  const [type = '', ip = '', , domain = ''] = parts
  if (parts.length !== NODE_ID_PARTS) throw refuse(`node id "${node.id}" must be <type>~<ip>~<id>~<domain>`)
  if (!NODE_TYPES.has(type)) {
    throw refuse(`node type "${type}" is not one of ${[...NODE_TYPES].join(', ')}`)
  }
  const metadata = (key: string): string => {
    const value = node.metadata?.[key]
    return typeof value === 'string' ? value.slice(0, MAX_TEXT_CHARS) : ''
  }
  if (![ip, ...metadata('INSTANCE_IPS').split(',')].some((text) => ipaddr.isValid(text))) {
    throw refuse(`node id "${node.id}" has no valid IP address, nor has metadata INSTANCE_IPS`)
  }
  return {
    id: node.id,
    type,
    namespace: metadata('NAMESPACE') || (domain.split('.')[0] ?? ''),
    serviceAccount: metadata('SERVICE_ACCOUNT'),
    nodeName: metadata('NODE_NAME'),
    version: metadata('ISTIO_VERSION'),
  }
}

/** Checks that the client is who its node says. Throws `ConnectError` PermissionDenied. */
export function checkNodeIdentity(node: ProxyNode, caller: ProvenCaller): void {
  const claims: readonly (readonly [string, string, string])[] = [
    ['namespace', node.namespace, caller.id.namespace],
    ['service account', node.serviceAccount, caller.id.serviceAccount],
    ['node', node.nodeName, caller.node ?? node.nodeName],
  ]
  for (const [what, claimed, proven] of claims) {
    if (claimed === '' || claimed === proven) continue
    const message = `no identities matched: ${what} is "${claimed}" in the node, "${proven}" in the token`
    throw new ConnectError(message, Code.PermissionDenied)
  }
}

const NODE_ID_PARTS = 4
/** Kept for as long as the stream is open and written into logs; a name has 253 characters at most, an id two of them. */
const MAX_TEXT_CHARS = 1024
const NODE_TYPES: ReadonlySet<string> = new Set(['sidecar', 'router', 'waypoint', 'ztunnel'])

function refuse(message: string): ConnectError {
  return new ConnectError(message, Code.InvalidArgument)
}
