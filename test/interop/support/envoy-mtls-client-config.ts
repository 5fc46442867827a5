import {
  bootstrap,
  endpointAt,
  extension,
  type Json,
  socketAddress,
  staticCluster,
  type TlsFiles,
  tcpProxy,
} from '../../../src/sidecar/index.ts'

/** A port on the pod's loopback, and the sidecar that it leads to. */
export interface MtlsExit {
  readonly port: number
  /** The other sidecar's address and the application's port. */
  readonly to: readonly [address: string, port: number]
  readonly tls: TlsFiles
}

/** A sidecar without HBONE as the client of another one: mutual TLS to the application's own port. */
export function mtlsClientBootstrap(exits: readonly MtlsExit[]): Json {
  return bootstrap(
    exits.map(({ port }) => ({
      name: `exit_${port}`,
      address: socketAddress('127.0.0.1', port),
      filter_chains: [{ filters: [tcpProxy(`exit_${port}`)] }],
    })),
    exits.map(({ port, to, tls }) =>
      staticCluster(`exit_${port}`, [endpointAt(...to)], { transport_socket: peerTls(tls) }),
    ),
  )
}

function peerTls({ chain, key, roots }: TlsFiles): Json {
  const certificates =
    chain === undefined
      ? {}
      : { tls_certificates: [{ certificate_chain: { filename: chain }, private_key: { filename: key } }] }
  return extension('envoy.transport_sockets.tls', 'transport_sockets.tls.v3.UpstreamTlsContext', {
    common_tls_context: {
      alpn_protocols: ['istio-peer-exchange', 'istio'],
      ...certificates,
      validation_context: {
        trusted_ca: { filename: roots },
        match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { prefix: 'spiffe://cluster.local/' } }],
      },
    },
  })
}
