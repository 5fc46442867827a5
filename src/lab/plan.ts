import { allAsExpected, examplesJson, formatExamples } from './example-report.ts'
import type { LabOptions, MeshLab } from './mesh-lab.ts'
import { formatOutcome, toJson } from './report.ts'
import { EXAMPLE_LAB, loadExamples, runExamples } from './run-examples.ts'
import { runScenarios } from './run-scenarios.ts'
import { type Scenario, scenariosFor } from './scenario.ts'
import type { Palette } from './terminal.ts'

/** What a lab is for: how to start it, and what to do in it. */
export interface Plan {
  readonly options: Pick<LabOptions, 'manifests' | 'dryRunPolicies' | 'proxyEnv'>
  make(lab: MeshLab, onConnection: (scenario: Scenario) => void, signal: AbortSignal): Promise<PlanResult>
}

/** What came of it, for people and for programs. */
export interface PlanResult {
  readonly asExpected: boolean
  /** `width` is the terminal's, if known. */
  lines(palette: Palette, width: number | undefined): readonly string[]
  toJson(startMilliseconds: number): object
}

/** The connections of `labs/coexistence`, those whose pods `manifests` has. */
export function ownConnections({ manifests }: Pick<LabOptions, 'manifests'>): Plan {
  return {
    options: manifests === undefined ? {} : { manifests },
    async make(lab, onConnection) {
      const observations = await runScenarios(
        lab,
        scenariosFor(lab.topology, lab.sidecarProxy),
        ({ scenario }) => onConnection(scenario),
      )
      return {
        asExpected: observations.every(({ problems }) => problems.length === 0),
        lines: (palette, width) => formatOutcome(observations, palette, width, lab.sidecarProxy),
        toJson: (startMilliseconds) => toJson(observations, startMilliseconds, lab.sidecarProxy),
      }
    },
  }
}

/** Examples, one after the other in the mesh that they share. Rejects with LabError `bad-example`. */
export async function exampleConnections(call: { readonly examples: readonly string[] }): Promise<Plan> {
  const examples = await loadExamples(call.examples)
  const manifests = examples[0]?.mesh
  return {
    options: { ...EXAMPLE_LAB, ...(manifests === undefined ? {} : { manifests }) },
    async make(lab, onConnection, signal) {
      const outcomes = await runExamples(lab, examples, { onConnection, signal })
      return {
        asExpected: allAsExpected(outcomes),
        lines: (palette) => formatExamples(outcomes, palette),
        toJson: (startMilliseconds) => examplesJson(outcomes, startMilliseconds),
      }
    },
  }
}
