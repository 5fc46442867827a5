import { join } from 'node:path'
import { runCommand } from '../../src/lab/command.ts'
import { HTTP_PORT } from '../seat.ts'
import type { MeasureContext, Sample } from './measure.ts'

export interface HttpLoad {
  /** `closed`: one request at a time on each connection; `connect`: each on a new one; `open`: at a fixed rate. */
  readonly mode: 'closed' | 'connect' | 'open'
  readonly connections: number
  readonly seconds: number
  /** Default `/`, which answers 128 bytes; `/1k` answers 1 KB. */
  readonly path?: string
  /** Requests per second of `open`. */
  readonly rate?: number
}

/**
 * Requests from the client's pod to the server, by wrk where it can be had and
 * knows the mode. Rejects when more than one in a hundred fails: then it is not
 * speed that was measured.
 */
export async function httpLoad(context: MeasureContext, load: HttpLoad): Promise<Sample> {
  const { seat, mesh } = context
  const { mode, connections, seconds, path = '/', rate } = load
  const viaWrk = context.wrk !== undefined && mode !== 'open'
  const result = viaWrk
    ? await withWrk(context, load)
    : await mesh.load<Sample>(
        seat,
        'pod',
        'http.ts',
        [mode, seat.address, HTTP_PORT, path, seconds, connections, rate ?? 0].map(String),
        seconds,
      )
  const { requests = 0, failed = 0, seconds: elapsed = seconds } = result
  if (requests === 0 || failed > requests * TOLERATED_FAILURES) {
    throw new Error(`${failed} requests failed and ${requests} did not`)
  }
  return { ...result, rps: requests / elapsed }
}

async function withWrk(
  { wrk, seat }: MeasureContext,
  { mode, connections, seconds, path = '/' }: HttpLoad,
): Promise<Sample> {
  const script = join(import.meta.dirname, '../load/wrk.lua')
  const argv = [
    ...['-t', '1', '-c', String(connections), '-d', `${Math.ceil(seconds)}s`, '-s', script],
    ...(mode === 'connect' ? ['-H', 'Connection: close'] : []),
    `http://${seat.address}:${HTTP_PORT}${path}`,
  ]
  const output = await runCommand(wrk?.path ?? '', argv, {
    namespace: seat.pod('out'),
    env: { ...process.env, ...wrk?.env },
    timeoutMs: (seconds + PATIENCE_SECONDS) * 1000,
  })
  return JSON.parse(output.trim().split('\n').at(-1) ?? '') as Sample
}

const TOLERATED_FAILURES = 0.01
const PATIENCE_SECONDS = 30
