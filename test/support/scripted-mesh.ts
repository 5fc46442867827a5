// What a scripted xDS server says, by field number, and our client that listens to it.
import { setTimeout as sleepFor } from 'node:timers/promises'
import type { Test } from 'tap'
import { controlPlaneTransport } from '../../src/identity/index.ts'
import { MeshStore } from '../../src/mesh/index.ts'
import {
  AddressHandler,
  AdsClient,
  type AdsClientOptions,
  AuthorizationHandler,
  MAX_MESSAGE_BYTES,
} from '../../src/xds/index.ts'
import { ADDRESS, AUTHORIZATION } from './foreign-ztunnel.ts'
import type { ScriptedCall, ScriptedGrpcServer } from './scripted-grpc-server.ts'
import { lengthField, messages, readFields, string, strings, varintField } from './wire.ts'

export interface ScriptedResponse {
  readonly type?: string
  readonly nonce: string
  readonly resources?: readonly Buffer[]
  readonly removed?: readonly string[]
}

/** DeltaDiscoveryResponse. */
export function response({ type = ADDRESS, nonce, resources = [], removed = [] }: ScriptedResponse): Buffer {
  return Buffer.concat([
    ...resources.map((resource) => lengthField(2, resource)),
    lengthField(4, type),
    lengthField(5, nonce),
    ...removed.map((name) => lengthField(6, name)),
  ])
}

/** Resource with any body. */
export function resource(name: string, version: string, type: string, body: Buffer): Buffer {
  const any = Buffer.concat([lengthField(1, type), lengthField(2, body)])
  return Buffer.concat([lengthField(1, version), lengthField(2, any), lengthField(3, name)])
}

/** Resource: workload `foo/<uid>` with the address 10.0.0.<last>. */
export function workload(uid: string, last: number, version = String(last)): Buffer {
  const body = Buffer.concat([
    lengthField(1, uid),
    lengthField(2, 'foo'),
    lengthField(3, Buffer.from([10, 0, 0, last])),
    varintField(5, 1),
    lengthField(20, uid),
  ])
  return resource(uid, version, ADDRESS, lengthField(1, body))
}

/** Resource: policy `foo/<name>`, which allows nothing in its namespace. */
export function policy(name: string, version = '1'): Buffer {
  const body = Buffer.concat([lengthField(1, name), lengthField(2, 'foo'), varintField(3, 1)])
  return resource(`foo/${name}`, version, AUTHORIZATION, body)
}

/** A DeltaDiscoveryRequest of our client. */
export function readRequest(bytes: Buffer) {
  const fields = readFields(bytes)
  const versions = messages(fields, 5).map((entry): [string, string] => {
    const pair = readFields(entry)
    return [string(pair, 1), string(pair, 2)]
  })
  const [error] = messages(fields, 7)
  return {
    type: string(fields, 2),
    subscribe: strings(fields, 3),
    unsubscribe: strings(fields, 4),
    versions: Object.fromEntries(versions),
    nonce: string(fields, 6),
    error: error === undefined ? undefined : string(readFields(error), 2),
  }
}

/** Our client, connected to a script. */
export function scriptedClient(
  t: Test,
  { address, rootsPem }: Pick<ScriptedGrpcServer, 'address' | 'rootsPem'>,
  options: Partial<AdsClientOptions> = {},
) {
  const store = new MeshStore()
  const transport = controlPlaneTransport({ address, rootCertPem: rootsPem, readMaxBytes: MAX_MESSAGE_BYTES })
  /** Reasons of ended streams, and what was waited for after each, in order. */
  const terminations: string[] = []
  const delays: number[] = []
  const client = new AdsClient({
    transport,
    node: { id: 'ztunnel~127.0.0.1~z.istio-system~istio-system.svc.cluster.local' },
    types: [new AddressHandler(store), new AuthorizationHandler(store)],
    metrics: { connectionTerminated: (reason) => terminations.push(reason) },
    // The delays are what is judged; to wait for them would prove nothing more.
    sleep: async (ms, signal) => {
      delays.push(ms)
      await sleepFor(Math.min(ms, 10), undefined, { signal })
    },
    ...options,
  })
  t.teardown(async () => {
    await client.stop()
    transport.close()
  })
  client.start()
  const mesh = () => ({
    workloads: [...store.workloads()].map(({ uid, addresses }) => `${uid} ${addresses.join()}`).sort(),
    policies: [...store.policies()].map(({ name }) => name).sort(),
  })
  return { client, store, mesh, terminations, delays }
}

/** Takes the two requests that every stream begins with. */
export async function beginning(call: ScriptedCall) {
  const addresses = readRequest(await call.next())
  const policies = readRequest(await call.next())
  return { addresses, policies }
}

/** Takes the answer to a response. */
export async function answer(call: ScriptedCall) {
  return readRequest(await call.next())
}
