import type { ClientReport, ClientRequest } from '../../src/lab/client.ts'
import type { MeshLab, Target } from '../../src/lab/mesh-lab.ts'
import type { RequestRecord } from '../../src/lab/request-record.ts'
import { until } from './until.ts'

/** What came of a client's requests, and what the waypoint said of each. */
export interface Asked {
  readonly report: ClientReport
  readonly lines: readonly RequestRecord[]
  /** What the application said of the last one; empty for an answer of the waypoint's own. */
  readonly app: { readonly app?: string; readonly path?: string; readonly seen?: number } & {
    readonly headers?: Readonly<Record<string, string>>
  }
}

/** Makes requests that can be told from all others, and waits for the waypoint's line about each. */
export async function ask(
  lab: MeshLab,
  from: string,
  target: Target,
  path: string,
  how: Partial<Pick<ClientRequest, 'method' | 'headers' | 'requests' | 'marker'>> = {},
): Promise<Asked> {
  const marker = how.marker ?? lab.newMarker()
  const [before, request] = [lab.journal.requests.length, { ...how, marker, ...lab.resolve(target) }]
  const report = await lab.connect(from, { kind: 'http', path: `${path}?marker=${marker}`, ...request })
  const lines = (): readonly RequestRecord[] =>
    lab.journal.requests.slice(before).filter((line) => line.path.includes(marker))
  await until(() => lines().length >= (how.requests ?? 1), `the waypoint to tell of ${path}`)
  const body = report.body ?? ''
  return { report, lines: lines(), app: body.startsWith('{') ? JSON.parse(body) : {} }
}
