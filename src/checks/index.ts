/** Whether the point of a lab is met: evidence from the running compose file, judged. */
export { type ComposeMeshOptions, composeMesh } from './compose-mesh.ts'
export { CheckError, type CheckErrorCode } from './errors.ts'
export type { AccessLine, Call, ComposeMesh, ContainerState, Finding, LabCheck } from './model.ts'
export { formatFindings, isRight } from './report.ts'
export { type Checkable, findCheck, LAB_CHECKS } from './run-check.ts'
