import { fromBinary } from '@bufbuild/protobuf'
import { AuthorizationSchema } from '../gen/istio/security/authorization_pb.ts'
import { AddressSchema } from '../gen/istio/workload/workload_pb.ts'
import type { AuthorizationPolicy, Service, Workload } from '../mesh/model.ts'
import { decodePolicy } from './decode-policy.ts'
import { decodeService } from './decode-service.ts'
import { decodeWorkload } from './decode-workload.ts'
import { XdsError } from './errors.ts'
import type { Interner } from './interner.ts'

export type DecodedAddress =
  | { readonly kind: 'workload'; readonly workload: Workload }
  | { readonly kind: 'service'; readonly service: Service }

/**
 * The bytes of an Address resource as the mesh model has them. Throws
 * `XdsError` (`invalid-resource`) with the reason for the NACK; as lenient as
 * Istio's ztunnel elsewhere (unknown fields, ports beyond 16 bits). `name` is
 * the resource's.
 */
export function decodeAddress(bytes: Uint8Array, interner: Interner, name = ''): DecodedAddress {
  const { type } = parse(() => fromBinary(AddressSchema, bytes, BINARY_OPTIONS))
  if (type.case === 'workload')
    return { kind: 'workload', workload: decodeWorkload(type.value, interner, name) }
  if (type.case === 'service') return { kind: 'service', service: decodeService(type.value, interner) }
  throw new XdsError('invalid-resource', 'unknown address type')
}

/** The bytes of an Authorization resource as the mesh model has them. Throws `XdsError` (`invalid-resource`). */
export function decodeAuthorization(bytes: Uint8Array): AuthorizationPolicy {
  return decodePolicy(parse(() => fromBinary(AuthorizationSchema, bytes, BINARY_OPTIONS)))
}

/** Fields of a newer API would only take memory: nothing is ever encoded again from what was decoded. */
const BINARY_OPTIONS = { readUnknownFields: false }

function parse<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new XdsError('invalid-resource', `failed to decode: ${reason}`, { cause })
  }
}
