export { LocalMesh, type LocalMeshOptions, type LocalMeshSource } from './local-mesh.ts'
export { type LocalState, type ParsedLocalState, parseLocalState } from './parse.ts'
