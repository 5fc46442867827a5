import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf'
import {
  Version,
  type WorkloadRequest,
  WorkloadRequestSchema,
  WorkloadResponseSchema,
  ZdsHelloSchema,
} from '../gen/istio/workload/zds/zds_pb.ts'
import { ZdsError } from './errors.ts'

/** Who a pod is. All three are Kubernetes names. */
export interface WorkloadInfo {
  readonly name: string
  readonly namespace: string
  readonly serviceAccount: string
}

/** What the agent tells the proxy. `uid` is opaque: a pod's for as long as it lives. */
export type ZdsRequest =
  /** A pod to capture; its network namespace comes with the packet. Naming a known one again is harmless. */
  | { readonly kind: 'add'; readonly uid: string; readonly workloadInfo: WorkloadInfo }
  /** A pod that is still there but whose namespace the agent does not have at hand. Only before `snapshot-sent`. */
  | { readonly kind: 'keep'; readonly uid: string }
  | { readonly kind: 'del'; readonly uid: string }
  /** All pods of the node have been named; whoever was not is gone. */
  | { readonly kind: 'snapshot-sent' }

/** Largest packet either way: Istio's agent and proxy both read into a buffer of this size. Bytes. */
export const MAX_PACKET_BYTES = 1024
/** Room for an error's text beside the tags and lengths around it (at most 3 + 3 bytes). */
const MAX_ERROR_BYTES = MAX_PACKET_BYTES - 8
const ELLIPSIS = '…'

/** The proxy's first packet. */
export function encodeHello(): Uint8Array {
  return toBinary(ZdsHelloSchema, create(ZdsHelloSchema, { version: Version.V1 }))
}

/** Throws ZdsError `unsupported-version` for anything but a hello of version 1. */
export function decodeHello(packet: Uint8Array): void {
  const { version } = decode(ZdsHelloSchema, packet, 'hello')
  if (version === Version.V1) return
  throw new ZdsError(
    'unsupported-version',
    `the node proxy speaks ZDS version ${version}, this agent version 1`,
  )
}

/** Throws ZdsError `packet-too-large` when names are so long that the message does not fit. */
export function encodeRequest(request: ZdsRequest): Uint8Array {
  const packet = toBinary(WorkloadRequestSchema, toMessage(request))
  if (packet.length > MAX_PACKET_BYTES) {
    const what =
      request.kind === 'snapshot-sent' ? request.kind : `${request.kind} ${request.uid.slice(0, 64)}`
    throw new ZdsError(
      'packet-too-large',
      `${what} takes ${packet.length} bytes; ${MAX_PACKET_BYTES} are allowed`,
    )
  }
  return packet
}

/** Throws ZdsError `malformed-packet` or `workload-info-missing`. */
export function decodeRequest(packet: Uint8Array): ZdsRequest {
  const { payload } = decode(WorkloadRequestSchema, packet, 'request')
  switch (payload.case) {
    case 'add': {
      const { workloadInfo } = payload.value
      const uid = requireUid(payload.value.uid, 'add')
      if (workloadInfo === undefined) {
        throw new ZdsError('workload-info-missing', `pod ${uid} came without workload_info`)
      }
      const { name, namespace, serviceAccount } = workloadInfo
      return { kind: 'add', uid, workloadInfo: { name, namespace, serviceAccount } }
    }
    case 'keep':
    case 'del':
      return { kind: payload.case, uid: requireUid(payload.value.uid, payload.case) }
    case 'snapshotSent':
      return { kind: 'snapshot-sent' }
    case undefined:
      throw new ZdsError('malformed-packet', 'request of a kind that is not known, or of none')
  }
}

/** The proxy's answer; an error's text is cut so that the packet always fits. */
export function encodeAck(error = ''): Uint8Array {
  const value = { error: truncate(error, MAX_ERROR_BYTES) }
  return toBinary(WorkloadResponseSchema, create(WorkloadResponseSchema, { payload: { case: 'ack', value } }))
}

/** The error of the proxy's answer, empty for success. Throws ZdsError `malformed-packet`. */
export function decodeAck(packet: Uint8Array): string {
  const { payload } = decode(WorkloadResponseSchema, packet, 'answer')
  if (payload.case === 'ack') return payload.value.error
  throw new ZdsError('malformed-packet', 'answer without an ack')
}

function toMessage(request: ZdsRequest): WorkloadRequest {
  switch (request.kind) {
    case 'add': {
      const { uid, workloadInfo } = request
      return create(WorkloadRequestSchema, { payload: { case: 'add', value: { uid, workloadInfo } } })
    }
    case 'keep':
    case 'del':
      return create(WorkloadRequestSchema, { payload: { case: request.kind, value: { uid: request.uid } } })
    case 'snapshot-sent':
      return create(WorkloadRequestSchema, { payload: { case: 'snapshotSent', value: {} } })
  }
}

function decode<Schema extends DescMessage>(
  schema: Schema,
  packet: Uint8Array,
  what: string,
): MessageShape<Schema> {
  try {
    return fromBinary(schema, packet)
  } catch (cause) {
    throw new ZdsError('malformed-packet', `${what} of ${packet.length} bytes is not ${schema.typeName}`, {
      cause,
    })
  }
}

function requireUid(uid: string, kind: string): string {
  if (uid === '') throw new ZdsError('malformed-packet', `${kind} without a uid`)
  return uid
}

/** Cuts text to a number of UTF-8 bytes, at a character. */
function truncate(text: string, maxBytes: number): string {
  if (Buffer.byteLength(text) <= maxBytes) return text
  const room = maxBytes - Buffer.byteLength(ELLIPSIS)
  const bytes = Buffer.alloc(room)
  const written = bytes.write(text)
  return bytes.toString('utf8', 0, written) + ELLIPSIS
}
