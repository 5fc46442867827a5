// An xDS client that keeps nothing of what it gets and can stop reading: for
// tests of a server with slow clients, and for benchmarks with many.
import { once } from 'node:events'
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2'
import { create, toBinary } from '@bufbuild/protobuf'
import { BinaryReader } from '@bufbuild/protobuf/wire'
import { DeltaDiscoveryRequestSchema } from '../../src/gen/envoy/service/discovery/v3/discovery_pb.ts'

export interface RawAdsOptions {
  readonly port: number
  readonly token: string
  readonly rootsPem: string
  /** HTTP/2 window of the stream and of the connection, bytes. Default 4 MiB. */
  readonly windowBytes?: number
  /** Called for each response. */
  readonly onResponse: (response: ResponseOutline, stream: RawAdsStream) => void
}

/** What can be told of a response without decoding what it carries. */
export interface ResponseOutline {
  readonly typeUrl: string
  readonly nonce: string
  readonly bytes: number
  readonly resources: number
  readonly removed: readonly string[]
  /** Of the whole message. */
  readonly body: Buffer
}

/** Fields of DeltaDiscoveryRequest; the node is added. */
export interface RawAdsRequest {
  readonly typeUrl: string
  readonly responseNonce?: string
  readonly errorDetail?: { readonly message: string }
  readonly initialResourceVersions?: Record<string, string>
}

const PATH = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources'
const NODE = { id: 'ztunnel~127.0.0.1~z.istio-system~istio-system.svc.cluster.local' }
const WINDOW_BYTES = 4 * 1024 * 1024
/** gRPC: a flag and the length. */
const PREFIX_BYTES = 5

export class RawAdsStream {
  readonly #session: ClientHttp2Session
  readonly #stream: ClientHttp2Stream
  readonly #options: RawAdsOptions
  #chunks: Buffer[] = []
  #buffered = 0
  /** Why the stream ended, if it did. */
  ended: string | undefined

  static async open(options: RawAdsOptions): Promise<RawAdsStream> {
    const { port, rootsPem, windowBytes = WINDOW_BYTES } = options
    const settings = { initialWindowSize: windowBytes }
    const session = connect(`https://127.0.0.1:${port}`, { ca: rootsPem, settings })
    session.on('error', () => {})
    await once(session, 'connect')
    session.setLocalWindowSize(windowBytes)
    return new RawAdsStream(session, options)
  }

  constructor(session: ClientHttp2Session, options: RawAdsOptions) {
    this.#session = session
    this.#options = options
    this.#stream = session.request({
      ':method': 'POST',
      ':path': PATH,
      'content-type': 'application/grpc',
      authorization: `Bearer ${options.token}`,
      te: 'trailers',
    })
    this.#stream.on('data', (chunk: Buffer) => this.#read(chunk))
    this.#stream.on('trailers', (trailers) => {
      this.ended ??= `status ${String(trailers['grpc-status'])}: ${String(trailers['grpc-message'] ?? '')}`
    })
    this.#stream.on('error', (error) => {
      this.ended ??= error.message
    })
    this.#stream.on('close', () => {
      this.ended ??= 'closed'
    })
  }

  send(request: RawAdsRequest): void {
    const body = toBinary(
      DeltaDiscoveryRequestSchema,
      create(DeltaDiscoveryRequestSchema, { node: NODE, ...request }),
    )
    const prefix = Buffer.alloc(PREFIX_BYTES)
    prefix.writeUInt32BE(body.length, 1)
    this.#stream.write(Buffer.concat([prefix, body]))
  }

  /** Reads no more: the server may send what the window has room for, and must then wait. */
  pause(): void {
    this.#stream.pause()
  }

  resume(): void {
    this.#stream.resume()
  }

  close(): void {
    this.#session.destroy()
  }

  #read(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#buffered += chunk.length
    if (this.#buffered < PREFIX_BYTES) return
    if ((this.#chunks[0]?.length ?? 0) < PREFIX_BYTES) this.#chunks = [Buffer.concat(this.#chunks)]
    const length = this.#chunks[0]?.readUInt32BE(1) ?? 0
    if (this.#buffered < PREFIX_BYTES + length) return
    const all = Buffer.concat(this.#chunks)
    const rest = all.subarray(PREFIX_BYTES + length)
    this.#chunks = []
    this.#buffered = 0
    this.#options.onResponse(outline(all.subarray(PREFIX_BYTES, PREFIX_BYTES + length)), this)
    if (rest.length > 0) this.#read(rest)
  }
}

/** DeltaDiscoveryResponse: resources 2, type_url 4, nonce 5, removed_resources 6. */
function outline(body: Buffer): ResponseOutline {
  const reader = new BinaryReader(body)
  const removed: string[] = []
  let [typeUrl, nonce, resources] = ['', '', 0]
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag()
    if (field === 4) typeUrl = reader.string()
    else if (field === 5) nonce = reader.string()
    else if (field === 6) removed.push(reader.string())
    else {
      if (field === 2) resources++
      reader.skip(wire)
    }
  }
  return { typeUrl, nonce, resources, removed, bytes: body.length, body }
}
