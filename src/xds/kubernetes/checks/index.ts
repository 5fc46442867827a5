import { addressConflicts } from './address-conflicts.ts'
import { emptySelectors } from './empty-selectors.ts'
import type { Check, CheckInput, Finding } from './finding.ts'
import { gatewayClasses } from './gateway-classes.ts'
import { knownSources } from './known-sources.ts'
import { labels } from './labels.ts'
import { podReferences } from './pod-references.ts'
import { rivals } from './rivals.ts'
import { servicePorts } from './service-ports.ts'

export type { CheckInput, Finding } from './finding.ts'

/** Checks of what is there. */
const OF_OBJECTS: readonly Check[] = [addressConflicts, labels, rivals]
/** Checks for what is missing; unsound while a file cannot be read. */
const OF_REFERENCES: readonly Check[] = [
  emptySelectors,
  servicePorts,
  gatewayClasses,
  podReferences,
  knownSources,
]

/** Everything that the checks find. `complete`: whether all that is meant to be there is. */
export function checkObjects(input: CheckInput, complete: boolean): readonly Finding[] {
  return [...OF_OBJECTS, ...(complete ? OF_REFERENCES : [])].flatMap((check) => check(input))
}
