import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { spawnIn } from '../../src/lab/command.ts'
import type { MeshLab } from '../../src/lab/mesh-lab.ts'
import { namespaceOf } from '../../src/lab/topology.ts'

/** A program of this folder that runs in a pod until it is told to finish. */
export interface ClientProgram {
  /** Ends its standard input and resolves with the JSON that it prints last. */
  finish(): Promise<Record<string, unknown>>
  /** The last line so far; undefined while there is none but `open`. */
  readonly ended: Promise<Record<string, unknown>>
  /** The lines before it. */
  readonly progress: readonly string[]
}

interface Destination {
  readonly host: string
  readonly port: number
}

/** Starts a long transfer in a pod; resolves when the connection is open. */
export function startLongTransfer(lab: MeshLab, from: string, target: Destination): Promise<ClientProgram> {
  return startProgram(lab, from, 'long-transfer.ts', target)
}

/**
 * Starts to make one connection after the other in a pod, `atOnce` (8) side by
 * side, with a pause after each (none); resolves when the first has been answered.
 */
export function startSteadyConnections(
  lab: MeshLab,
  from: string,
  target: Destination,
  { atOnce = 8, pauseMs = 0 }: { readonly atOnce?: number; readonly pauseMs?: number } = {},
): Promise<ClientProgram> {
  return startProgram(lab, from, 'steady-connections.ts', target, [atOnce, pauseMs])
}

/** Opens so many connections in a pod and holds them; its progress tells how many have ended. */
export function startHeldConnections(
  lab: MeshLab,
  from: string,
  target: Destination,
  count: number,
): Promise<ClientProgram> {
  return startProgram(lab, from, 'held-connections.ts', target, [count])
}

/** Resolves with the program's first line. */
async function startProgram(
  lab: MeshLab,
  from: string,
  name: string,
  target: Destination,
  options: readonly number[] = [],
): Promise<ClientProgram> {
  const program = new URL(`./${name}`, import.meta.url).pathname
  const namespace = lab.network.namespace(namespaceOf(lab.topology, from))
  const argv = [program, target.host, String(target.port), ...options.map(String)]
  const child = spawnIn(namespace, process.execPath, argv, {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  if (child.stdout === null) throw new Error('the program has no output')
  const lines = createInterface(child.stdout)
  const progress: string[] = []
  const ended = new Promise<Record<string, unknown>>((resolve) => {
    lines.on('line', (line) => {
      if (line.startsWith('{')) resolve(JSON.parse(line))
      else progress.push(line)
    })
  })
  await once(lines, 'line')
  return {
    ended,
    progress,
    finish() {
      child.stdin?.end()
      return ended
    },
  }
}
