/** What `ztunnel version` and the config dump say about this build. */
export interface VersionInfo {
  readonly version: string
  readonly nodeVersion: string
  readonly opensslVersion: string
  readonly nghttp2Version: string
  readonly platform: string
}

export function versionInfo(version: string): VersionInfo {
  return {
    version,
    nodeVersion: process.versions.node,
    opensslVersion: process.versions.openssl,
    nghttp2Version: process.versions['nghttp2'] ?? 'unknown',
    platform: `${process.platform}-${process.arch}`,
  }
}
