// Istio's ztunnel as the control plane sees it: another gRPC library, messages
// from field numbers (wire facts of istiod's API), the sequence of requests
// that the Rust program sends. Nothing of it is ours but the expectations.
import {
  type ClientDuplexStream,
  type ClientOptions,
  credentials,
  Client as GrpcClient,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js'
import type { Test } from 'tap'
import { until } from './until.ts'
import {
  lengthField,
  mapEntry,
  messages,
  readFields,
  type StructValue,
  string,
  strings,
  struct,
  varintField,
  type WireFields,
} from './wire.ts'

export const ADDRESS = 'type.googleapis.com/istio.workload.Address'
export const AUTHORIZATION = 'type.googleapis.com/istio.security.Authorization'

/** Of a DeltaDiscoveryRequest; what is absent is not on the wire. */
export interface ForeignRequest {
  readonly type: string
  readonly node?: Buffer
  readonly subscribe?: readonly string[]
  readonly unsubscribe?: readonly string[]
  readonly initialVersions?: ReadonlyMap<string, string>
  readonly nonce?: string
  /** error_detail.message. */
  readonly error?: string
}

export interface ForeignResource {
  readonly name: string
  readonly version: string
  readonly aliases: readonly string[]
  /** Of the Any. */
  readonly bodyType: string
  readonly body: Buffer
}

export interface ForeignResponse {
  readonly type: string
  readonly nonce: string
  readonly resources: readonly ForeignResource[]
  readonly removed: readonly string[]
}

export interface ForeignOptions {
  readonly port: number
  readonly rootsPem: string
  /** Absent: no `authorization`. */
  readonly token?: string
  readonly clusterId?: string
  /** Of grpc-js. */
  readonly channel?: ClientOptions
}

/** What it says of itself: the fields that istiod reads, and some that only istiod would. */
export function foreignNode(metadata: Readonly<Record<string, StructValue>> = {}): Buffer {
  const fields = {
    NAME: 'ztunnel-x7k2p',
    NAMESPACE: 'istio-system',
    INSTANCE_IPS: '127.0.0.1',
    NODE_NAME: 'node-a',
    // ISTIO_META_… and ISTIO_METAJSON_… of the pod.
    ISTIO_VERSION: '1.29.0',
    DNS_CAPTURE: 'true',
    LABELS: { app: 'ztunnel', 'istio.io/rev': 'default' },
    ...metadata,
  }
  const id = 'ztunnel~127.0.0.1~ztunnel-x7k2p.istio-system~istio-system.svc.cluster.local'
  return Buffer.concat([lengthField(1, id), lengthField(3, struct(fields))])
}

/** One connection to a control plane. */
export class ForeignZtunnel {
  readonly #client: GrpcClient
  readonly #options: ForeignOptions

  constructor(t: Test, options: ForeignOptions) {
    this.#options = options
    const tls = credentials.createSsl(Buffer.from(options.rootsPem))
    this.#client = new GrpcClient(`127.0.0.1:${options.port}`, tls, {
      // The name by which istiod is reached; grpc-js would put the address into SNI.
      'grpc.ssl_target_name_override': 'istiod.istio-system.svc',
      // Else a channel of an earlier test would be taken, with its TLS session.
      'grpc.use_local_subchannel_pool': 1,
      ...options.channel,
    })
    t.teardown(() => this.#client.close())
  }

  stream(): ForeignStream {
    const path = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources'
    const metadata = this.#metadata()
    return new ForeignStream(this.#client.makeBidiStreamRequest(path, asIs, asIs, metadata))
  }

  /** The bytes of the answer. Rejects with grpc-js's ServiceError. */
  unary(path: string, request: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const answered = (error: ServiceError | null, answer?: Buffer) =>
        error === null ? resolve(answer ?? Buffer.alloc(0)) : reject(error)
      const deadline = { deadline: Date.now() + PATIENCE_MS }
      this.#client.makeUnaryRequest(path, asIs, asIs, request, this.#metadata(), deadline, answered)
    })
  }

  #metadata(): Metadata {
    const { token, clusterId = 'Kubernetes' } = this.#options
    const metadata = new Metadata()
    if (token !== undefined) metadata.set('authorization', `Bearer ${token}`)
    metadata.set('clusterid', clusterId)
    return metadata
  }
}

/** One delta stream. */
export class ForeignStream {
  readonly #call: ClientDuplexStream<Buffer, Buffer>
  readonly #unread: ForeignResponse[] = []
  /** gRPC status and text, once it has ended. */
  end: { readonly code: number; readonly details: string } | undefined

  constructor(call: ClientDuplexStream<Buffer, Buffer>) {
    this.#call = call
    call.on('data', (bytes: Buffer) => this.#unread.push(decodeResponse(bytes)))
    // Told again by the status.
    call.on('error', () => {})
    call.on('status', ({ code, details }) => {
      this.end = { code, details }
    })
  }

  send(request: ForeignRequest): void {
    this.#call.write(encodeRequest(request))
  }

  sendBytes(bytes: Buffer): void {
    this.#call.write(bytes)
  }

  /** The next response, in the order of the wire. */
  async next(): Promise<ForeignResponse> {
    await until(() => this.#unread.length > 0 || this.end !== undefined, 'a response')
    const response = this.#unread.shift()
    if (response === undefined) throw new Error(`ended: ${this.end?.code} ${this.end?.details}`)
    return response
  }

  async ended(): Promise<{ readonly code: number; readonly details: string }> {
    await until(() => this.end !== undefined, 'the end of the stream')
    return this.end ?? { code: -1, details: '' }
  }

  ack({ type, nonce }: ForeignResponse): void {
    this.send({ type, nonce })
  }

  /** As the Rust program ends a stream: its side first. */
  close(): void {
    this.#call.end()
    this.#call.cancel()
  }

  /** What came and was not read. */
  get unread(): readonly ForeignResponse[] {
    return this.#unread
  }
}

/** DeltaDiscoveryRequest: node 1, type 2, subscribe 3, unsubscribe 4, initial versions 5, nonce 6, error 7. */
export function encodeRequest(request: ForeignRequest): Buffer {
  const { type, node, subscribe = [], unsubscribe = [], initialVersions = [], nonce, error } = request
  return Buffer.concat([
    ...(node === undefined ? [] : [lengthField(1, node)]),
    lengthField(2, type),
    ...subscribe.map((name) => lengthField(3, name)),
    ...unsubscribe.map((name) => lengthField(4, name)),
    ...[...initialVersions].map(([name, version]) => mapEntry(5, name, version)),
    ...(nonce === undefined ? [] : [lengthField(6, nonce)]),
    ...(error === undefined ? [] : [lengthField(7, lengthField(2, error))]),
  ])
}

/** DeltaDiscoveryResponse: system version 1, resources 2, type 4, nonce 5, removed 6. */
export function decodeResponse(bytes: Buffer): ForeignResponse {
  const fields = checked(readFields(bytes), [1, 2, 4, 5, 6])
  return {
    type: string(fields, 4),
    nonce: string(fields, 5),
    resources: messages(fields, 2).map(decodeResource),
    removed: strings(fields, 6),
  }
}

const PATIENCE_MS = 15_000

/** Resource: version 1, Any 2 (type 1, value 2), name 3, aliases 4. */
function decodeResource(bytes: Buffer): ForeignResource {
  const fields = checked(readFields(bytes), [1, 2, 3, 4])
  const any = readFields(messages(fields, 2)[0] ?? Buffer.alloc(0))
  return {
    name: string(fields, 3),
    version: string(fields, 1),
    aliases: strings(fields, 4),
    bodyType: string(any, 1),
    body: messages(any, 2)[0] ?? Buffer.alloc(0),
  }
}

/** A field that the Rust program does not have would be lost on it. */
function checked(fields: WireFields, known: readonly number[]): WireFields {
  for (const field of fields.keys()) {
    if (!known.includes(field)) throw new Error(`field ${field} is not of this message`)
  }
  return fields
}

const asIs = (bytes: Buffer): Buffer => bytes

/** IstioCertificateRequest: csr 1, validity_duration 3, metadata 4 with the identity that is asked for. */
export function encodeCertificateRequest(
  csr: string,
  seconds: number | bigint,
  identity: string | undefined,
): Buffer {
  return Buffer.concat([
    lengthField(1, csr),
    varintField(3, seconds),
    ...(identity === undefined ? [] : [lengthField(4, struct({ ImpersonatedIdentity: identity }))]),
  ])
}
