import { parseArgs } from 'node:util'

/** What `npm run bench` was asked for. */
export interface BenchOptions {
  readonly topology: 'loopback' | 'namespaces'
  /** Names, in the order in which they are measured. */
  readonly peers: readonly string[]
  /** Programs by the name of their peer. */
  readonly commands: readonly PeerCommand[]
  /** Names of measures, or beginnings of names; none is all. */
  readonly measures: readonly string[]
  readonly rounds: number
  /** How long one measure takes at one peer. */
  readonly seconds: number
  /** Of the steady load. */
  readonly steadySeconds: number
  /** Idle connections that are opened. */
  readonly idleConnections: number
  /** Workloads of the large mesh. */
  readonly workloads: number
  /** Threads for each proxy; undefined is what each takes by itself. */
  readonly threads: number | undefined
  readonly quick: boolean
  /** Count the proxies' system calls instead of trusting the clock. */
  readonly strace: boolean
  readonly json: string | undefined
  readonly markdown: string | undefined
}

/** Another program in the seat. */
export interface PeerCommand {
  readonly name: string
  /** A shell command. */
  readonly command: string
  /** `node`: a node proxy, as `ztunnel proxy`. `pair`: run beside the pods, listens on ports that it is told. */
  readonly kind: 'node' | 'pair'
}

export const OWN_PEERS = ['direct', 'ours', 'haproxy', 'envoy'] as const

/** Thrown for a command line that cannot be followed; the message says what would be right. */
export class OptionsError extends Error {
  override name = 'OptionsError'
}

export const USAGE = `npm run bench -- [options]

  --quick                 a first impression in two minutes: fewer measures, one short round
  --topology NAME         namespaces (default): pods and nodes, redirected as in the mesh; loopback: all in one namespace
  --peers LIST            of ${OWN_PEERS.join(', ')} and the names below; default all
  --peer NAME=COMMAND     another node proxy in the seat, run once per node with the environment that ours gets
  --pair NAME=COMMAND     another pair of proxies, run beside the client and beside the server (see bench/README.md)
  --measures LIST         beginnings of names, e.g. bulk,requests-64; "list" shows them
  --rounds N              default 3
  --seconds N             of each measure at each peer; default 4
  --steady-seconds N      of the steady load; default 60
  --idle N                idle connections; default 10000
  --workloads N           of the large mesh; default 100000, with a tenth of the services
  --threads N             for each proxy; default what each takes by itself
  --strace                tables of the proxies' system calls by strace; everything else is wrong then
  --json FILE             everything that was measured
  --markdown FILE         the tables
`

/** Throws {@link OptionsError}. */
export function parseOptions(argv: readonly string[]): BenchOptions {
  const values = read(argv)
  const quick = values.quick === true
  const commands = [...commandsOf('node', values.peer), ...commandsOf('pair', values.pair)]
  const known: readonly string[] = [...OWN_PEERS, ...commands.map(({ name }) => name)]
  if (new Set(known).size < known.length) throw new OptionsError('two peers have the same name')
  const peers = values.peers === undefined ? known : list(values.peers)
  for (const peer of peers) {
    if (!known.includes(peer))
      throw new OptionsError(`--peers: there is no ${peer}; there is ${known.join(', ')}`)
  }
  const topology = values.topology ?? 'namespaces'
  if (topology !== 'namespaces' && topology !== 'loopback') {
    throw new OptionsError(`--topology is namespaces or loopback, not ${topology}`)
  }
  if (topology === 'loopback' && commands.some(({ kind, name }) => kind === 'node' && peers.includes(name))) {
    throw new OptionsError('--peer needs --topology namespaces: two node proxies have the same ports')
  }
  const number = (name: NumberFlag, normal: number, short = normal): number =>
    positive(name, values[name], quick ? short : normal)
  return {
    topology,
    peers,
    commands,
    measures: values.measures === undefined ? [] : list(values.measures),
    rounds: number('rounds', 3, 1),
    seconds: number('seconds', 4, 2),
    steadySeconds: number('steady-seconds', 60, 4),
    idleConnections: number('idle', 10_000, 2_000),
    workloads: number('workloads', 100_000),
    threads: values.threads === undefined ? undefined : positive('threads', values.threads, 1),
    quick,
    strace: values.strace === true,
    json: values.json,
    markdown: values.markdown,
  }
}

const FLAGS = {
  quick: { type: 'boolean' },
  strace: { type: 'boolean' },
  topology: { type: 'string' },
  peers: { type: 'string' },
  peer: { type: 'string', multiple: true },
  pair: { type: 'string', multiple: true },
  measures: { type: 'string' },
  rounds: { type: 'string' },
  seconds: { type: 'string' },
  'steady-seconds': { type: 'string' },
  idle: { type: 'string' },
  workloads: { type: 'string' },
  threads: { type: 'string' },
  json: { type: 'string' },
  markdown: { type: 'string' },
} as const

type NumberFlag = 'rounds' | 'seconds' | 'steady-seconds' | 'idle' | 'workloads'

function read(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: FLAGS }).values
  } catch (error) {
    throw new OptionsError(error instanceof Error ? error.message : String(error), { cause: error })
  }
}

function list(text: string): readonly string[] {
  return text.split(',').filter((item) => item !== '')
}

function positive(name: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback
  const value = Number(text)
  if (value > 0 && Number.isFinite(value)) return value
  throw new OptionsError(`--${name} is a number above 0, not ${text}`)
}

function commandsOf(kind: PeerCommand['kind'], texts: readonly string[] = []): readonly PeerCommand[] {
  return texts.map((text) => {
    const [, name, command] = PEER_COMMAND.exec(text) ?? []
    if (name !== undefined && command !== undefined) return { name, command, kind }
    throw new OptionsError(
      `--${kind === 'node' ? 'peer' : 'pair'} is NAME=COMMAND with a name of at most 10 letters, not ${text}`,
    )
  })
}

/** The name becomes part of those of links, which have 15 characters at most. */
const PEER_COMMAND = /^([a-z][a-z0-9]{0,9})=(.+)$/s
