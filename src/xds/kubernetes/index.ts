export { DATAPLANE_MODE_LABEL, isCaptured, REDIRECTION_ANNOTATION, TUNNEL_LABEL } from './captured.ts'
export { objectId } from './collect-objects.ts'
export { type FileState, type FolderSnapshot, loadFolder } from './folder.ts'
export { FolderSource, type FolderSourceOptions } from './folder-source.ts'
export type { ObjectProvider, ProvidedObjects } from './object-provider.ts'
export type {
  AuthorizationPolicy,
  ContainerPort,
  KubernetesObject,
  KubernetesObjects,
  Namespace,
  ObjectMeta,
  PeerAuthentication,
  Pod,
  Service,
  ServicePort,
} from './objects.ts'
export { type FileProblem, formatPlace, formatProblem } from './problem.ts'
export { isSame } from './same-value.ts'
export { type MeshResources, translate } from './translate.ts'
export type { TranslateOptions, TranslateWarning } from './translate-context.ts'
export { nearest } from './unknown-fields.ts'
export { type FolderReport, validateFolder } from './validate-folder.ts'
export { type FolderWatch, type WatchOptions, watchFolder } from './watch-folder.ts'
