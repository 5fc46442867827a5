import { type MeshView, MissedLookups } from '../../mesh/index.ts'

/**
 * Fetches one name (uid, `network/address`, `namespace/hostname`) from the
 * control plane: resolves when what there is of it is in the mesh, or when that
 * will not be. Never rejects.
 */
export type Demand = (name: string) => Promise<void>

/** For all that one decision lacks, milliseconds. Istio's ztunnel waits for ever. */
export const DEMAND_DEADLINE_MS = 5000

/**
 * An address leads to a service, that to its waypoint, that to a gateway: each
 * round knows one more. A mesh that needs more than this is not well.
 */
const MAX_ROUNDS = 6

/**
 * Makes a decision on a mesh that holds only what was asked for (XDS_ON_DEMAND,
 * wire/ztunnel 10.4): decides, fetches what was missed, and decides again. With
 * the deadline the decision stands as it was made on what is known then.
 * Without `demand` the mesh is whole, and one decision is all.
 */
export async function decideOnDemand<Decision>(
  mesh: MeshView,
  demand: Demand | undefined,
  decide: (mesh: MeshView) => Decision,
  deadlineMs = DEMAND_DEADLINE_MS,
): Promise<Decision> {
  if (demand === undefined) return decide(mesh)
  const asked = new Set<string>()
  const end = performance.now() + deadlineMs
  for (let round = 1; ; round++) {
    const view = new MissedLookups(mesh)
    const decision = decide(view)
    const names = view.names().filter((name) => !asked.has(name))
    const leftMs = end - performance.now()
    if (names.length === 0 || leftMs <= 0 || round === MAX_ROUNDS) return decision
    for (const name of names) asked.add(name)
    await withinMs(Promise.all(names.map(demand)), leftMs)
  }
}

async function withinMs(fetched: Promise<unknown>, ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  await Promise.race([fetched, promise])
  clearTimeout(timer)
}
