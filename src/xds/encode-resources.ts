import { create } from '@bufbuild/protobuf'
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { AnySchema } from '@bufbuild/protobuf/wkt'
import {
  DeltaDiscoveryResponseSchema,
  type Resource,
  ResourceSchema,
} from '../gen/envoy/service/discovery/v3/discovery_pb.ts'
import type { CachedResource } from './resource.ts'

/** `DeltaDiscoveryResponse.resources`, on the wire. */
export const RESOURCES_FIELD = {
  no: DeltaDiscoveryResponseSchema.field.resources.number,
  wireType: WireType.LengthDelimited,
} as const

const LENGTH = WireType.LengthDelimited
const NAME = ResourceSchema.field.name.number
const VERSION = ResourceSchema.field.version.number
const BODY = ResourceSchema.field.resource.number
const ANY_TYPE_URL = AnySchema.field.typeUrl.number
const ANY_VALUE = AnySchema.field.value.number

/** A resource as a response has it. */
export function encodeResource(
  { name, version, value, aliases }: CachedResource,
  typeUrl: string,
  withAliases: boolean,
): Resource {
  return create(ResourceSchema, {
    name,
    version,
    aliases: withAliases ? [...aliases] : [],
    resource: { typeUrl, value },
  })
}

/**
 * The field `resources` with these as values, without the first tag: what a
 * message holds of a field that it does not know. Aliases are left out.
 */
export function encodeResources(resources: Iterable<CachedResource>, typeUrl: string): Uint8Array {
  const writer = new BinaryWriter()
  let isFirst = true
  for (const resource of resources) {
    if (!isFirst) writer.tag(RESOURCES_FIELD.no, LENGTH)
    isFirst = false
    // By hand: messages made for 100,000 of them take four times as long.
    writer.fork()
    writer.tag(VERSION, LENGTH).string(resource.version)
    writer.tag(BODY, LENGTH).fork()
    writer.tag(ANY_TYPE_URL, LENGTH).string(typeUrl).tag(ANY_VALUE, LENGTH).bytes(resource.value).join()
    writer.tag(NAME, LENGTH).string(resource.name).join()
  }
  return writer.finish()
}
