/**
 * SPIFFE identities and their X.509 certificates: requesting, signing,
 * renewing, and checking a peer's. Private keys stay inside this folder.
 */
export { CaClient, type CaClientOptions } from './ca-client.ts'
export { type CreateCaOptions, createInMemoryCa } from './ca-create.ts'
export { type LoadCaOptions, type LoadedCa, loadCa, loadOrCreateCa, openCa } from './ca-files.ts'
export type { CaMaterial } from './ca-material.ts'
export { addRoot, dropRoots, rotateIntermediate, useRoot } from './ca-rotate.ts'
export { type CaServiceOptions, caRoutes } from './ca-service.ts'
export { type CaWatch, type CaWatchOptions, watchCa } from './ca-watch.ts'
export {
  CertificateAuthority,
  type CertificateAuthorityOptions,
  MAX_CSR_BYTES,
  type ServerCertificate,
  type ServerCertificateRequest,
  type SignRequest,
} from './certificate-authority.ts'
export { type Clock, systemClock } from './clock.ts'
export {
  type ControlPlaneOptions,
  type ControlPlaneTransport,
  controlPlaneTransport,
} from './control-plane.ts'
export { type ControlPlaneCredentials, controlPlaneHeaders, tokenFile } from './control-plane-headers.ts'
export type { RootSource } from './control-plane-roots.ts'
export { createCsr } from './csr.ts'
export { IdentityError, type IdentityErrorCode } from './errors.ts'
export type { FetchPriority } from './fetch-queue.ts'
export { generateKeyPair } from './keys.ts'
export { type IdentityLog, silentLog } from './log.ts'
export { type PackedSvid, packSvid, unpackSvid } from './packed-svid.ts'
export { peerIdentity, peerSpiffeIds, verifyPeerTrustDomain, verifyServerIdentity } from './peer.ts'
export { formatSpiffeId, parseSpiffeId, type SpiffeId, spiffeIdProblem } from './spiffe-id.ts'
export type { Svid } from './svid.ts'
export { type SvidFilesOptions, writeSvidFiles } from './svid-files.ts'
export { type GetSvidOptions, SvidManager, type SvidManagerOptions } from './svid-manager.ts'
export { SvidReplica, type SvidReplicaOptions } from './svid-replica.ts'
export type { SvidSource } from './svid-source.ts'
export type { CertificateDump, IdentityDump, SvidState } from './svid-state.ts'
export { DEFAULT_TTL_SECONDS, MAX_TTL_SECONDS, MIN_TTL_SECONDS } from './svid-ttl.ts'
export {
  bearerToken,
  type Caller,
  NODE_ACCOUNT,
  type NodeTokenRequest,
  TOKEN_AUDIENCE,
  TokenIssuer,
  type TokenIssuerOptions,
  type WorkloadTokenRequest,
} from './token.ts'
export { createTokenKey, type TokenKey } from './token-key.ts'
export { createSvid, exportPrivateKeyPem, MESH_CIPHERS, type SvidMaterial } from './x509-svid.ts'
