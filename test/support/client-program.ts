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
}

/** Starts a long transfer in a pod; resolves when the connection is open. */
export async function startLongTransfer(
  lab: MeshLab,
  from: string,
  target: { host: string; port: number },
): Promise<ClientProgram> {
  const program = new URL('./long-transfer.ts', import.meta.url).pathname
  const namespace = lab.network.namespace(namespaceOf(lab.topology, from))
  const child = spawnIn(namespace, process.execPath, [program, target.host, String(target.port)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  if (child.stdout === null) throw new Error('the program has no output')
  const lines = createInterface(child.stdout)
  const ended = new Promise<Record<string, unknown>>((resolve) => {
    lines.on('line', (line) => {
      if (line.startsWith('{')) resolve(JSON.parse(line))
    })
  })
  await once(lines, 'line')
  return {
    ended,
    finish() {
      child.stdin?.end()
      return ended
    },
  }
}
