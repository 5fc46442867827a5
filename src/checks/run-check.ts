import { basename } from 'node:path'
import { allowAndDeny } from './allow-and-deny.ts'
import { CheckError } from './errors.ts'
import { firstConnection } from './first-connection.ts'
import { identities } from './identities.ts'
import { load } from './load.ts'
import type { ComposeMesh, Finding, LabCheck } from './model.ts'
import { nodeDies } from './node-dies.ts'
import { rotateRoot } from './rotate-root.ts'
import { strictMutualTls } from './strict-mutual-tls.ts'
import { waypoint } from './waypoint.ts'

/** A lab's check with its evidence, gathered and judged. */
export interface Checkable {
  /** Its folder's name: `03-allow-and-deny`. */
  readonly lab: string
  check(mesh: ComposeMesh): Promise<readonly Finding[]>
}

/** Every lab that has a check, in their order. */
export const LAB_CHECKS: readonly Checkable[] = [
  checkable(firstConnection),
  checkable(identities),
  checkable(allowAndDeny),
  checkable(strictMutualTls),
  checkable(rotateRoot),
  checkable(nodeDies),
  checkable(load),
  checkable(waypoint),
]

/**
 * The check of a lab: by folder (`labs/03-allow-and-deny`), name or number. Throws CheckError `unknown-lab`, which names
 * those that there are.
 */
export function findCheck(labOrFolder: string): Checkable {
  const name = basename(labOrFolder)
  const number = /^\d{1,2}$/.test(name) ? `${name.padStart(2, '0')}-` : undefined
  const found = LAB_CHECKS.find(({ lab }) => lab === name || (number !== undefined && lab.startsWith(number)))
  if (found !== undefined) return found
  const known = LAB_CHECKS.map(({ lab }) => lab).join(', ')
  throw new CheckError('unknown-lab', `${labOrFolder} has no check; those that have one: ${known}`)
}

function checkable<Evidence>({ lab, gather, judge }: LabCheck<Evidence>): Checkable {
  return { lab, check: async (mesh) => judge(await gather(mesh)) }
}
