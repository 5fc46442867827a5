import { type DescMethodBiDiStreaming, fromBinary } from '@bufbuild/protobuf'
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import { type Empty, EmptySchema } from '@bufbuild/protobuf/wkt'
import { Code, ConnectError } from '@connectrpc/connect'
import {
  AggregatedDiscoveryService,
  type DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
  type Resource,
  ResourceSchema,
} from '../gen/envoy/service/discovery/v3/discovery_pb.ts'

/** A delta response whose resources are decoded one by one, while they are gone through. */
export interface DiscoveryResponse
  extends Pick<DeltaDiscoveryResponse, 'typeUrl' | 'nonce' | 'removedResources'> {
  readonly resources: Iterable<Resource> & { readonly length: number }
}

/**
 * `DeltaAggregatedResources` with a response that is taken apart, not decoded:
 * Empty keeps each field as its bytes. A whole mesh in one response would
 * otherwise be decoded at once, in one task of a large part of a second, and
 * take some 400 bytes for each of 100,000 resources before the first is used.
 */
export const DELTA_RESOURCES: DescMethodBiDiStreaming<
  typeof DeltaDiscoveryRequestSchema,
  typeof EmptySchema
> = { ...AggregatedDiscoveryService.method.deltaAggregatedResources, output: EmptySchema }

/** Throws `ConnectError` for what is no response; its `resources` throw it for what is no Resource. */
export function takeApart(message: Empty): DiscoveryResponse {
  const resources: Uint8Array[] = []
  const rest: Uint8Array[] = []
  for (const { no, wireType, data } of message.$unknown ?? []) {
    if (no === RESOURCES && wireType === WireType.LengthDelimited) resources.push(data)
    else rest.push(tag(no, wireType), data)
  }
  const { typeUrl, nonce, removedResources } = decoded(() =>
    fromBinary(DeltaDiscoveryResponseSchema, Buffer.concat(rest), NO_UNKNOWN_FIELDS),
  )
  return { typeUrl, nonce, removedResources, resources: new EncodedResources(resources) }
}

class EncodedResources {
  readonly #encoded: readonly Uint8Array[]

  constructor(encoded: readonly Uint8Array[]) {
    this.#encoded = encoded
  }

  get length(): number {
    return this.#encoded.length
  }

  *[Symbol.iterator](): Iterator<Resource> {
    for (const data of this.#encoded) {
      yield decoded(() => fromBinary(ResourceSchema, new BinaryReader(data).bytes(), NO_UNKNOWN_FIELDS))
    }
  }
}

function tag(no: number, wireType: number): Uint8Array {
  const octets: number[] = []
  let rest = (no << 3) | wireType
  for (; rest >>> 0 > 0x7f; rest >>>= 7) octets.push((rest & 0x7f) | 0x80)
  octets.push(rest)
  return Uint8Array.from(octets)
}

/** With the code that the library has for a message that cannot be decoded. */
function decoded<T>(decode: () => T): T {
  try {
    return decode()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new ConnectError(`xds response: ${reason}`, Code.InvalidArgument, undefined, undefined, cause)
  }
}

/** Number of `resources` in DeltaDiscoveryResponse. */
const RESOURCES = 2
const NO_UNKNOWN_FIELDS = { readUnknownFields: false }
