import { type DescMessage, fromBinary, type JsonValue, toJson } from '@bufbuild/protobuf'
import { AuthorizationSchema } from '../gen/istio/security/authorization_pb.ts'
import { AddressSchema } from '../gen/istio/workload/workload_pb.ts'
import { PolicySchema } from '../gen/ztunnel/waypoint/policy_pb.ts'
import { RouteSchema } from '../gen/ztunnel/waypoint/route_pb.ts'
import { addressFromBytes, cidrFromBytes } from './ip-bytes.ts'
import { meshResources } from './mesh-resources.ts'
import type { SourceSnapshot } from './source.ts'
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, ROUTE_TYPE, WAYPOINT_POLICY_TYPE } from './type-urls.ts'

export type ResourceKind = 'workload' | 'service' | 'policy' | 'waypoint-policy' | 'route'

/** A resource as proxies get it, in a form for people. */
export interface ReadableResource {
  readonly kind: ResourceKind
  /** The resource name. */
  readonly name: string
  /**
   * Protobuf's JSON form: Istio's names of fields and enumerations. Addresses
   * and blocks are text rather than bytes, and fields without a value are left
   * out; numbers, truth values and enumerations are there even when default.
   */
  readonly value: { readonly [field: string]: JsonValue }
}

/** What proxies would get of a mesh, decoded from the very bytes; services, workloads, policies, those of waypoints, routes, each by name. */
export function readableResources(mesh: SourceSnapshot): readonly ReadableResource[] {
  const resources = meshResources(mesh)
  const addresses = (resources.get(ADDRESS_TYPE) ?? []).map(({ name, value }): ReadableResource => {
    const { type } = fromBinary(AddressSchema, value)
    const kind = type.case ?? 'workload'
    const json = readable(AddressSchema, value)
    const inner = isRecord(json) ? json[kind] : undefined
    return { kind, name, value: isRecord(inner) ? inner : {} }
  })
  const others = OTHERS.flatMap(({ kind, typeUrl, schema }) =>
    (resources.get(typeUrl) ?? []).map(({ name, value }): ReadableResource => {
      const json = readable(schema, value)
      return { kind, name, value: isRecord(json) ? json : {} }
    }),
  )
  return [...addresses, ...others].sort(byKindAndName)
}

/** Whose message is the resource itself. */
const OTHERS: readonly {
  readonly kind: ResourceKind
  readonly typeUrl: string
  readonly schema: DescMessage
}[] = [
  { kind: 'policy', typeUrl: AUTHORIZATION_TYPE, schema: AuthorizationSchema },
  { kind: 'waypoint-policy', typeUrl: WAYPOINT_POLICY_TYPE, schema: PolicySchema },
  { kind: 'route', typeUrl: ROUTE_TYPE, schema: RouteSchema },
]
const ORDER: readonly ResourceKind[] = ['service', 'workload', 'policy', 'waypoint-policy', 'route']

function byKindAndName(a: ReadableResource, b: ReadableResource): number {
  if (a.kind !== b.kind) return ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind)
  return a.name < b.name ? -1 : 1
}

function readable(schema: DescMessage, bytes: Uint8Array): JsonValue | undefined {
  return tidy(toJson(schema, fromBinary(schema, bytes), { alwaysEmitImplicit: true }))
}

/** Undefined for what has no value. */
function tidy(value: JsonValue): JsonValue | undefined {
  if (Array.isArray(value)) {
    const items = value.map(tidy).filter((item) => item !== undefined)
    return items.length === 0 ? undefined : items
  }
  if (!isRecord(value)) return value === '' || value === null ? undefined : value
  const fields: { [field: string]: JsonValue } = {}
  for (const [name, inner] of Object.entries(value)) {
    const text = name === 'addresses' || name === 'address' ? addressText(inner) : undefined
    const kept = text ?? blockText(inner) ?? KEPT_EMPTY.get(name)?.(inner) ?? tidy(inner)
    if (kept !== undefined) fields[name] = kept
  }
  // An empty message can mean something: a match without fields matches nothing, a service may have no ports.
  return fields
}

/** What says something when it is empty. */
const KEPT_EMPTY: ReadonlyMap<string, (value: JsonValue) => JsonValue | undefined> = new Map([
  // A policy without rules: nothing is allowed.
  ['rules', (value: JsonValue) => (Array.isArray(value) && value.length === 0 ? value : undefined)],
])

/** Of a workload's addresses, or a gateway's or service's network address. */
function addressText(value: JsonValue): JsonValue | undefined {
  if (typeof value === 'string') return addressFromBytes(Buffer.from(value, 'base64'))
  if (!Array.isArray(value) || value.length === 0) return undefined
  const texts = value.map((item) => (typeof item === 'string' ? addressText(item) : undefined))
  return texts.every((text) => text !== undefined) ? texts : undefined
}

/** Of the blocks of a policy's match: lists of address and length, with nothing else. */
function blockText(value: JsonValue): JsonValue | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined
  const texts = value.map((item) => {
    if (!isRecord(item) || 'network' in item) return undefined
    const { address, length } = item
    if (typeof address !== 'string' || typeof length !== 'number') return undefined
    return cidrFromBytes(Buffer.from(address, 'base64'), length)
  })
  return texts.every((text) => text !== undefined) ? texts : undefined
}

function isRecord(value: JsonValue | undefined): value is { [field: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
