import { create, equals, fromBinary, toBinary } from '@bufbuild/protobuf'
import { EmptySchema } from '@bufbuild/protobuf/wkt'
import { ConnectError } from '@connectrpc/connect'
import fc from 'fast-check'
import t from 'tap'
import {
  DeltaDiscoveryResponseSchema,
  ResourceSchema,
} from '../gen/envoy/service/discovery/v3/discovery_pb.ts'
import { takeApart } from './discovery-response.ts'

const ANY = 'google.protobuf.Any'
const EMPTY_RESOURCE = create(ResourceSchema)

const text = fc.string({ unit: 'grapheme', maxLength: 200 })
const body = fc.uint8Array({ maxLength: 300 }).map((value) => ({ typeUrl: 'type.googleapis.com/x', value }))
const resource = fc.record({
  name: text,
  version: text,
  aliases: fc.array(text, { maxLength: 3 }),
  resource: fc.option(body, { nil: undefined }),
})
const response = fc.record({
  systemVersionInfo: text,
  typeUrl: text,
  nonce: text,
  removedResources: fc.array(text, { maxLength: 5 }),
  resources: fc.array(resource, { maxLength: 5 }),
})

t.test('taken apart, a response says what it says decoded', async (t) => {
  const property = fc.property(response, ({ resources, ...init }) => {
    const message = create(DeltaDiscoveryResponseSchema, {
      ...init,
      resources: resources.map(({ resource: any, ...rest }) =>
        create(ResourceSchema, any === undefined ? rest : { ...rest, resource: { $typeName: ANY, ...any } }),
      ),
    })
    const parts = takeApart(fromBinary(EmptySchema, toBinary(DeltaDiscoveryResponseSchema, message)))
    const decoded = [...parts.resources]
    return (
      parts.typeUrl === message.typeUrl &&
      parts.nonce === message.nonce &&
      JSON.stringify(parts.removedResources) === JSON.stringify(message.removedResources) &&
      parts.resources.length === message.resources.length &&
      decoded.length === message.resources.length &&
      message.resources.every((expected, i) => equals(ResourceSchema, expected, decoded[i] ?? EMPTY_RESOURCE))
    )
  })
  fc.assert(property)
  t.pass()
})

t.test(
  'bytes that are no response are refused with the code of a message that cannot be decoded',
  async (t) => {
    const property = fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const message = create(EmptySchema)
      message.$unknown = [{ no: 2, wireType: 2, data: bytes }]
      try {
        for (const { name } of takeApart(message).resources) if (typeof name !== 'string') return false
      } catch (error) {
        return error instanceof ConnectError
      }
      return true
    })
    fc.assert(property)
    t.pass()
  },
)

t.test('a resource that is cut off does not become another', async (t) => {
  const message = create(EmptySchema)
  message.$unknown = [{ no: 2, wireType: 2, data: Uint8Array.of(200, 1, 2) }]
  t.throws(() => [...takeApart(message).resources], /xds response: .*EOF/)
})
