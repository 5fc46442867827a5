import { readFileSync, writeFileSync } from 'node:fs'
import type { AccessRecord } from '../../../src/lab/access-record.ts'
import type { ProbeResponse } from '../../../src/lab/http-probe.ts'

/** Whose proxy it is. */
export type Maker = 'ours' | 'Envoy'

/** One connection of the matrix. */
export interface Cell {
  readonly client: Maker
  readonly server: Maker
  readonly via: 'direct' | 'waypoint'
  readonly verdict: 'allow' | 'deny'
}

/** What was seen of it. */
export interface Observation {
  /** Of the request; no other has it. */
  readonly path: string
  /** An error when the connection ended without an answer. */
  readonly answer: ProbeResponse | Error
  /** The client's proxy. */
  readonly client: AccessRecord
  /** The waypoint, of the tunnel to it. */
  readonly waypoint: AccessRecord | undefined
  /** The waypoint's line about the request. */
  readonly waypointHttp: string | undefined
  /** The server's proxy. */
  readonly server: AccessRecord | undefined
  /** Every proxy that logged anything. */
  readonly hops: ReadonlySet<string>
}

const MAKERS: readonly Maker[] = ['ours', 'Envoy']

/** All sixteen, in the order of the table. */
export const CELLS: readonly Cell[] = MAKERS.flatMap((client) =>
  MAKERS.flatMap((server) =>
    (['direct', 'waypoint'] as const).flatMap((via) =>
      (['allow', 'deny'] as const).map((verdict) => ({ client, server, via, verdict })),
    ),
  ),
)

/** A cell's text: what was observed, without what differs from run to run. */
export function describe({ answer, client, waypoint, server }: Observation): string {
  const peers = [
    ...(waypoint === undefined ? [] : [`the waypoint’s peer ${identity(waypoint)}`]),
    ...(server === undefined ? [] : [`the server’s peer ${identity(server)}`]),
  ].join(', ')
  if (!(answer instanceof Error)) {
    const by = server === undefined ? 'the waypoint' : server.destinationWorkload
    const said = answer.status === 200 ? '' : ` (\`${answer.body.trim()}\`)`
    return `**${answer.status}** by ${by}${said}; ${peers}`
  }
  const ended = 'code' in answer && answer.code === 'ECONNRESET' ? 'closed without a byte' : answer.message
  const code = /\b[45]\d\d\b/.exec(client.error ?? '')?.[0] ?? client.error
  return `**${ended}**: ${code} to the CONNECT, by policy \`${server?.policy}\`; ${peers}`
}

/** The whole table, of the cells' texts. */
export function renderMatrix(texts: ReadonlyMap<Cell, string>): string {
  const rows = CELLS.filter(({ verdict }) => verdict === 'allow').map((allowed) => {
    const { client, server, via } = allowed
    const denied = CELLS[CELLS.indexOf(allowed) + 1]
    const cells = [allowed, denied].map((cell) => (cell && texts.get(cell)) ?? '**not run**')
    return `| ${[client, server, via, ...cells].join(' | ')} |`
  })
  return ['| client | server | path | allowed | denied |', '|---|---|---|---|---|', ...rows].join('\n')
}

/** The table as the document has it. Throws when its markers are gone. */
export function documentedMatrix(): string {
  return split().table.trim()
}

/** Puts a table in the place of the document's. */
export function documentMatrix(table: string): void {
  const { before, after } = split()
  writeFileSync(DOCUMENT, `${before}${BEGIN}\n${table}\n${END}${after}`)
}

function split(): { readonly before: string; readonly table: string; readonly after: string } {
  const document = readFileSync(DOCUMENT, 'utf8')
  const [begin, end] = [document.indexOf(BEGIN), document.indexOf(END)]
  if (begin < 0 || end < begin) throw new Error(`${DOCUMENT.pathname} has no ${BEGIN} with ${END} after it`)
  return {
    before: document.slice(0, begin),
    table: document.slice(begin + BEGIN.length, end),
    after: document.slice(end + END.length),
  }
}

function identity({ sourceIdentity }: AccessRecord): string {
  return `\`${sourceIdentity}\``
}

const DOCUMENT = new URL('../../../docs/compatibility.md', import.meta.url)
const [BEGIN, END] = ['<!-- matrix: written by a test -->', '<!-- end of matrix -->']
