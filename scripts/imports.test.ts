// Imports point one way (ARCHITECTURE.md). This reads every source file's
// imports and refuses an arrow that the table does not have, and any cycle.
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import t from 'tap'

const SRC = resolve(import.meta.dirname, '../src')

/** What each folder may import, itself and packages aside. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  gen: [],
  linux: [],
  mesh: [],
  identity: ['gen'],
  hbone: ['identity'],
  zds: ['gen', 'linux'],
  xds: ['gen', 'mesh', 'identity'],
  telemetry: ['mesh'],
  sidecar: ['mesh'],
  ztunnel: ['linux', 'mesh', 'identity', 'hbone', 'zds', 'xds', 'telemetry'],
  // The same seat in another place: what is the process's own is the node proxy's.
  waypoint: ['linux', 'mesh', 'identity', 'hbone', 'xds', 'telemetry', 'ztunnel'],
  conformance: ['identity'],
  // Only what docker compose tells.
  checks: [],
  docker: ['xds'],
  agent: ['linux', 'zds', 'xds', 'docker', 'telemetry'],
  'config-server': ['mesh', 'identity', 'xds', 'docker', 'telemetry'],
  lab: [
    'linux',
    'mesh',
    'identity',
    'hbone',
    'zds',
    'xds',
    'telemetry',
    'ztunnel',
    'agent',
    'config-server',
    'sidecar',
  ],
  cli: [
    'linux',
    'mesh',
    'identity',
    'hbone',
    'zds',
    'xds',
    'telemetry',
    'ztunnel',
    'agent',
    'config-server',
    'docker',
    'sidecar',
    'conformance',
    'waypoint',
    'lab',
    'checks',
  ],
  '.': ['cli'],
}

const graph = readGraph()

t.test('every import follows an allowed arrow', async (t) => {
  for (const [file, imports] of graph) {
    for (const target of imports) {
      const from = folder(file)
      const to = folder(target)
      const allowed = from === to || (ALLOWED[from] ?? []).includes(to)
      if (!allowed) t.fail(`${file} imports ${target}: ${from} may import ${ALLOWED[from] ?? 'nothing'}`)
    }
  }
  t.ok(graph.size > 0, `${graph.size} files read`)
})

t.test('mesh uses no Node API', async (t) => {
  for (const file of globSync('mesh/**/*.ts', { cwd: SRC })) {
    if (file.endsWith('.test.ts')) continue
    t.notMatch(readFileSync(join(SRC, file), 'utf8'), /from 'node:/, file)
  }
})

t.test('there is no import cycle', async (t) => {
  t.equal(findCycle()?.join(' → '), undefined)
})

/** Value imports only: a type import leaves nothing behind at run time. */
function readGraph(): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const file of globSync('**/*.ts', { cwd: SRC })) {
    if (file.endsWith('.test.ts') || file.includes('test-support')) continue
    const text = readFileSync(join(SRC, file), 'utf8')
    const specifiers = [...text.matchAll(/^(?:import|export)\s(?!type\b)[^;]*?from '(\.[^']+)'/gms)]
    const paths = specifiers.map(([, path = '']) => relative(SRC, resolve(SRC, dirname(file), path)))
    found.set(file, paths)
  }
  return found
}

function folder(file: string): string {
  const [first = '.', ...rest] = file.split('/')
  return rest.length === 0 ? '.' : first
}

function findCycle(): string[] | undefined {
  const done = new Set<string>()
  const visit = (file: string, path: string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file]
    if (done.has(file)) return undefined
    for (const next of graph.get(file) ?? []) {
      const cycle = visit(next, [...path, file])
      if (cycle !== undefined) return cycle
    }
    done.add(file)
    return undefined
  }
  for (const file of graph.keys()) {
    const cycle = visit(file, [])
    if (cycle !== undefined) return cycle
  }
  return undefined
}
