import { extension, type Json } from './envoy.ts'

/** PEM files of one identity. */
export interface TlsFiles {
  /** Leaf first. Absent, as the key is, for a peer without a certificate. */
  readonly chain?: string
  readonly key?: string
  readonly roots: string
  /**
   * A file of SDS resources, as {@link sdsResources} makes it, that is to be
   * used in place of `chain` and `key`: then a certificate that is replaced
   * is noticed. Envoy reads the other two only when it starts.
   */
  readonly sds?: string
}

/** Name of the certificate among SDS resources. istiod's. */
export const SDS_CERTIFICATE = 'default'

/** TLS of an HBONE leg as a client (wire/istio 3.1). */
export function upstreamTls(files: TlsFiles, trustDomain: string): Json {
  return extension('envoy.transport_sockets.tls', 'transport_sockets.tls.v3.UpstreamTlsContext', {
    common_tls_context: commonTls(files, trustDomain, HBONE_TLS),
  })
}

/** TLS of an HBONE leg as a server: the client must have a certificate. */
export function downstreamTls(files: TlsFiles, trustDomain: string): Json {
  return requiringCertificate(commonTls(files, trustDomain, HBONE_TLS))
}

/** The mutual TLS of sidecars among themselves, before HBONE (wire/istio 3.4). */
export function legacyTls(files: TlsFiles, trustDomain: string): Json {
  return requiringCertificate(commonTls(files, trustDomain, LEGACY_TLS))
}

/** What the file of SDS resources holds. Envoy looks at the files again when something is moved into `folder`. */
export function sdsResources({ chain, key }: TlsFiles, folder: string): Json {
  return {
    resources: [
      {
        '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret',
        name: SDS_CERTIFICATE,
        tls_certificate: {
          certificate_chain: { filename: chain },
          private_key: { filename: key },
          watched_directory: { path: folder },
        },
      },
    ],
  }
}

interface Versions {
  readonly minimum: string
  readonly alpn: readonly string[]
}

const HBONE_TLS: Versions = { minimum: 'TLSv1_3', alpn: ['h2'] }
const LEGACY_TLS: Versions = { minimum: 'TLSv1_2', alpn: ['istio-peer-exchange', 'h2', 'http/1.1'] }

function requiringCertificate(common: Json): Json {
  return extension('envoy.transport_sockets.tls', 'transport_sockets.tls.v3.DownstreamTlsContext', {
    require_client_certificate: true,
    common_tls_context: common,
  })
}

/** Of the peer's identity only the trust domain is looked at: a sidecar never asks who exactly it reached. */
function commonTls(files: TlsFiles, trustDomain: string, { minimum, alpn }: Versions): Json {
  return {
    tls_params: { tls_minimum_protocol_version: minimum, tls_maximum_protocol_version: 'TLSv1_3' },
    alpn_protocols: alpn,
    ...ownCertificate(files),
    validation_context: {
      trusted_ca: { filename: files.roots },
      match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { prefix: `spiffe://${trustDomain}/` } }],
    },
  }
}

function ownCertificate({ chain, key, sds }: TlsFiles): Json {
  if (sds !== undefined) {
    const sds_config = { path_config_source: { path: sds }, resource_api_version: 'V3' }
    return { tls_certificate_sds_secret_configs: [{ name: SDS_CERTIFICATE, sds_config }] }
  }
  if (chain === undefined) return {}
  return { tls_certificates: [{ certificate_chain: { filename: chain }, private_key: { filename: key } }] }
}
