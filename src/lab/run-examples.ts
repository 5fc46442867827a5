import { cp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { LabError } from './errors.ts'
import { type Example, loadExample } from './example.ts'
import { scenariosOf } from './example-scenario.ts'
import { untilInForce } from './in-force.ts'
import type { LabOptions, MeshLab } from './mesh-lab.ts'
import { NodeObservers } from './node-observers.ts'
import type { Observation } from './observation.ts'
import { runScenario } from './run-scenarios.ts'
import type { Scenario } from './scenario.ts'

/** What became of an example. */
export interface ExampleOutcome {
  readonly example: Example
  /** In the order of its file. */
  readonly observations: readonly Observation[]
}

export interface RunExamplesOptions {
  readonly onConnection?: (scenario: Scenario) => void
  readonly signal?: AbortSignal
}

/** Folder within the lab's YAML that holds the example in force. */
export const EXAMPLE_FOLDER = 'example'

/** Options of a lab for examples: policies can be tried dry, and each verdict is logged. */
export const EXAMPLE_LAB: Pick<LabOptions, 'dryRunPolicies' | 'proxyEnv'> = {
  dryRunPolicies: true,
  proxyEnv: { AUTHZ_POLICY_INFO_LOGGING: 'true' },
}

/** Reads examples that are to run in one lab. Rejects with LabError `bad-example`, also if they need different meshes. */
export async function loadExamples(namesOrFolders: readonly string[]): Promise<readonly Example[]> {
  const examples = await Promise.all(namesOrFolders.map(loadExample))
  const [first] = examples
  const other = examples.find(({ mesh }) => mesh !== first?.mesh)
  if (first === undefined || other === undefined) return examples
  throw new LabError(
    'bad-example',
    `${first.name} and ${other.name} are of different meshes, ${first.mesh} and ${other.mesh}: run one at a time`,
  )
}

/**
 * Applies one example after the other to a running lab and makes its
 * connections; the last one stays in force.
 */
export async function runExamples(
  lab: MeshLab,
  examples: readonly Example[],
  options: RunExamplesOptions = {},
): Promise<readonly ExampleOutcome[]> {
  // A slip in the last example is told before the first one runs.
  const planned = examples.map((example) => ({ example, scenarios: scenariosOf(example, lab.topology) }))
  using observers = new NodeObservers(lab)
  const outcomes: ExampleOutcome[] = []
  for (const { example, scenarios } of planned) {
    await applyExample(lab, example)
    await untilInForce(lab, options.signal)
    const observations: Observation[] = []
    for (const scenario of scenarios) {
      options.signal?.throwIfAborted()
      observations.push(await runScenario(lab, scenario, observers))
      options.onConnection?.(scenario)
    }
    outcomes.push({ example, observations })
  }
  return outcomes
}

/** Puts an example's YAML in the place of the last one's. Hidden folders are not read: it appears as a whole. */
async function applyExample({ state }: MeshLab, { manifests }: Example): Promise<void> {
  const [next, inForce] = [join(state.config, `.${EXAMPLE_FOLDER}`), join(state.config, EXAMPLE_FOLDER)]
  if (manifests !== undefined) await cp(manifests, next, { recursive: true })
  await rm(inForce, { recursive: true, force: true })
  if (manifests !== undefined) await rename(next, inForce)
}
