import type { NetworkNamespace } from '../linux/index.ts'
import { appProgram } from './app.ts'
import { runCommand } from './command.ts'

/** What a client program was asked to do; see `apps/client.ts`. */
export interface ClientRequest {
  /** `http`: a GET. `tcp`: greeting, payload, half-close, answer. */
  readonly kind: 'http' | 'tcp'
  readonly host: string
  readonly port: number
  /** HTTP path; `/bytes/1048576` downloads that many. */
  readonly path?: string
  /** How many HTTP requests, one after the other on one connection; default 1. The report is of the last one. */
  readonly requests?: number
  /** Of an HTTP request; default GET. */
  readonly method?: string
  /** Of an HTTP request, besides the marker. */
  readonly headers?: Readonly<Record<string, string>>
  /** Travels in the request and comes back in the answer; found on a wire, it was in the clear. */
  readonly marker: string
  /** Bytes of a `tcp` payload. */
  readonly size?: number
  readonly timeoutMs?: number
}

/** What the client program saw. */
export interface ClientReport {
  readonly ok: boolean
  readonly error?: string
  readonly localAddress?: string
  readonly localPort?: number
  readonly status?: number
  /** Of every answer, in order. */
  readonly statuses?: readonly number[]
  /** Header fields of the answer. */
  readonly headers?: Readonly<Record<string, string>>
  /** Bytes of the answer. */
  readonly received?: number
  readonly sent?: number
  /** Of what was received (HTTP) or sent (TCP), computed by the client. */
  readonly sha256?: string
  /** The same, computed by the server. */
  readonly announcedSha256?: string
  readonly markerReturned?: boolean
  /** Answers up to 64 KiB. */
  readonly body?: string
  readonly milliseconds: number
}

/** Runs a client program in a pod's namespace: one process, one connection. */
export async function runClient(namespace: NetworkNamespace, request: ClientRequest): Promise<ClientReport> {
  const patience = request.timeoutMs ?? DEFAULT_TIMEOUT_MS
  const argv = [appProgram('client'), JSON.stringify({ ...request, timeoutMs: patience })]
  const output = await runCommand(process.execPath, argv, { namespace, timeoutMs: patience + START_MS })
  return JSON.parse(output) as ClientReport
}

/** Of silence, not in all. */
const DEFAULT_TIMEOUT_MS = 15_000
/** For the process to start, and for transfers that are slow but never silent. */
const START_MS = 45_000
