import { flushCompileCache } from 'node:module'

/**
 * Lets go of what only the start needed: a process that has loaded all of its
 * modules holds 20 to 30 MB of garbage in a heap that V8, without much work to
 * do, would take minutes to collect. To be called once, before there is a mesh
 * or traffic: it stops everything for as long as a whole collection takes, 50 ms
 * then, a second with 100,000 workloads.
 *
 * The collection is asked for through the inspector's protocol, which is the
 * one documented way that needs no command-line flag; without an inspector in
 * this Node nothing is collected, and V8 does it when it likes to.
 */
export async function trimMemory(): Promise<void> {
  // Otherwise written at the end only, which a killed process does not have.
  flushCompileCache()
  const inspector = await import('node:inspector').catch(() => undefined)
  if (inspector === undefined) return
  const session = new inspector.Session()
  session.connect()
  await new Promise<void>((resolve) => session.post('HeapProfiler.collectGarbage', () => resolve()))
  session.disconnect()
}
