import type {
  GatewayAddress as GatewayMessage,
  NetworkAddress as NetworkAddressMessage,
  Port as PortMessage,
} from '../gen/istio/workload/workload_pb.ts'
import type { AppProtocol, GatewayAddress, NetworkAddress, Port, ServiceKey } from '../mesh/model.ts'
import { XdsError } from './errors.ts'
import type { Interner } from './interner.ts'
import { addressFromBytes } from './ip-bytes.ts'

/** Port of a waypoint's or gateway's HBONE listener where the message has none. */
export const DEFAULT_HBONE_PORT = 15008

/** Where a waypoint or gateway is found; undefined stays undefined. */
export function decodeGateway(message: GatewayMessage | undefined): GatewayAddress | undefined {
  if (message === undefined) return undefined
  const hboneMtlsPort = toPort(message.hboneMtlsPort) || DEFAULT_HBONE_PORT
  const { destination } = message
  if (destination.case === 'hostname') {
    const { namespace, hostname } = destination.value
    return { kind: 'hostname', namespace, hostname, hboneMtlsPort }
  }
  if (destination.case === 'address') {
    return { kind: 'address', ...decodeNetworkAddress(destination.value), hboneMtlsPort }
  }
  throw invalid('gateway address has no destination')
}

/** The address without its length. */
export function decodeNetworkAddress(message: NetworkAddressMessage): NetworkAddress {
  return { network: message.network, address: requireAddress(message.address) }
}

/** Canonical text of 4 or 16 bytes. */
export function requireAddress(bytes: Uint8Array): string {
  const address = addressFromBytes(bytes)
  if (address === undefined)
    throw invalid(`failed to parse IP address: ${bytes.length} bytes, expected 4 or 16`)
  return address
}

/** Entries without a service port lead nowhere and are left out. */
export function decodePorts(messages: readonly PortMessage[]): readonly Port[] {
  const ports: Port[] = []
  for (const message of messages) {
    const servicePort = toPort(message.servicePort)
    if (servicePort === 0) continue
    const appProtocol = APP_PROTOCOLS[message.appProtocol] ?? 'UNKNOWN'
    ports.push({ servicePort, targetPort: toPort(message.targetPort), appProtocol })
  }
  return ports
}

/** `namespace/hostname` with exactly one slash. */
export function decodeServiceKey(key: string, interner: Interner): ServiceKey {
  const slash = key.indexOf('/')
  if (slash < 0 || key.indexOf('/', slash + 1) >= 0) {
    throw invalid(`failed to parse service key "${key}": expected namespace/hostname`)
  }
  return interner.intern(`${key.slice(0, slash)}/${key.slice(slash + 1)}` as const)
}

/** The name of an enum value; an unknown number makes the resource unusable. */
export function decodeEnum<T extends string>(names: readonly T[], value: number, field: string): T {
  const name = names[value]
  if (name === undefined) throw invalid(`unknown enum value ${value} for ${field}`)
  return name
}

/** Numbers beyond 16 bits lose their upper part, as in Istio's ztunnel. */
export function toPort(value: number): number {
  return value & 0xffff
}

export function invalid(reason: string): XdsError {
  return new XdsError('invalid-resource', reason)
}

/** In the order of their numbers on the wire. */
const APP_PROTOCOLS: readonly AppProtocol[] = ['UNKNOWN', 'HTTP11', 'HTTP2', 'GRPC', 'TCP', 'TLS']
