export {
  type AddressWords,
  addressFamily,
  type Cidr,
  canonicalAddress,
  cidrContains,
  formatHostPort,
  formatSocketAddress,
  isAddress,
  isLoopback,
  parseAddress,
  parseCidr,
} from './addresses.ts'
export { authorize } from './authorize.ts'
export { identityPrincipal, identityUri, sameIdentity, workloadIdentity } from './identity.ts'
export type { MeshChange, MeshListener, MeshUpdate } from './mesh-change.ts'
export { MeshStore, type MeshStoreOptions } from './mesh-store.ts'
export type { Endpoint, MeshView } from './mesh-view.ts'
export type * from './model.ts'
export { formatGateway, policyName, serviceKey } from './names.ts'
export type * from './route.ts'
export type * from './verdict.ts'
