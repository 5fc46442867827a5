import { X509Certificate } from 'node:crypto'
import type { ConnectionOptions } from 'node:tls'
import { peerSpiffeIds } from '../../identity/index.ts'
import { type Check, expect, fail, notApplicable, pass } from '../check.ts'
import type { Attempt, CheckContext } from '../context.ts'

/** Versions, ALPN and what the target proves about itself. */
export const tlsChecks: readonly Check[] = [
  {
    name: 'tls/1.3',
    title: 'speaks TLS 1.3 and selects h2',
    level: 'must',
    standsOn: 'Istio: HBONE is HTTP/2 over TLS 1.3; RFC 9113 section 3.2',
    explanation:
      'Every proxy of an ambient mesh offers TLS 1.3 with ALPN h2; a target that does neither has no peer.',
    run: async (context) => {
      const found = await context.attempt({}, context.target.identity.good)
      if (found.kind === 'refused') return fail(found.why)
      return expect(
        found.protocol === 'TLSv1.3' && found.alpn === 'h2',
        `${found.protocol}, ALPN ${found.alpn || 'none'}`,
      )
    },
  },
  oldVersion(
    'TLSv1.1',
    'must',
    'RFC 9113 section 9.2; RFC 8996',
    'Below TLS 1.2 HTTP/2 is forbidden, and TLS 1.1 is broken.',
  ),
  oldVersion(
    'TLSv1.2',
    'should',
    'Istio: min and max version of every HBONE context are 1.3; ztunnel accepts 1.2 with TLS12_ENABLED only',
    'With 1.2 the client certificate, which names a workload, crosses the wire in clear. A FIPS build may have to fail this one.',
  ),
  {
    name: 'tls/alpn-h2-preferred',
    title: 'selects h2 when http/1.1 is offered first',
    level: 'must',
    standsOn: 'RFC 7301 section 3.2; RFC 9113 section 3.2',
    explanation: 'The server chooses by its own preference. HBONE has no meaning in HTTP/1.1.',
    run: async (context) => {
      const found = await context.attempt({ ALPNProtocols: ['http/1.1', 'h2'] }, context.target.identity.good)
      return expect(found.kind === 'served' && found.alpn === 'h2', describe(found))
    },
  },
  {
    name: 'tls/alpn-unknown-refused',
    title: 'refuses a client that offers other protocols than h2',
    level: 'should',
    standsOn: 'RFC 7301 section 3.2 (no_application_protocol)',
    explanation:
      'A client of another protocol on this port is a mistake that should show at once, and not as a strange parse error.',
    run: async (context) => {
      const found = await context.attempt(
        { ALPNProtocols: ['istio-peer-exchange'] },
        context.target.identity.good,
      )
      return expect(found.kind === 'refused', describe(found))
    },
  },
  {
    name: 'tls/alpn-absent',
    title: 'serves a client that offers no ALPN at all',
    level: 'ours',
    standsOn: 'ztunnel: a client without ALPN is taken at its word',
    explanation: 'Plain test clients, and double HBONE through a proxy that rewrites nothing, may have none.',
    run: async (context) => {
      const found = await context.attempt({ ALPNProtocols: [] }, context.target.identity.good)
      return expect(found.kind === 'served', describe(found))
    },
  },
  {
    name: 'tls/no-sni',
    title: 'serves a client that sends no server name',
    level: 'must',
    standsOn: 'Istio: no HBONE client sends SNI; the certificate is chosen by the destination address',
    explanation: 'A target that needs a server name to choose its certificate has nothing to choose by.',
    run: async (context) => {
      // An address is never sent as a server name (RFC 6066 section 3).
      const found = await context.attempt({ servername: '' }, context.target.identity.good)
      return expect(found.kind === 'served', describe(found))
    },
  },
  {
    name: 'tls/server-chain',
    title: "proves itself with a certificate of the mesh's roots",
    level: 'must',
    standsOn: 'SPIFFE X509-SVID section 5.2; Istio: peers check the chain against their own roots',
    explanation:
      'The client refuses what it cannot verify; and a mesh whose servers cannot prove themselves is none.',
    run: async (context) => {
      const socket = await context.tls()
      return expect(socket.authorized, socket.authorized ? 'verified' : String(socket.authorizationError))
    },
  },
  {
    name: 'tls/server-spiffe-id',
    title: 'its certificate has exactly one SPIFFE id, and no other URI',
    level: 'must',
    standsOn: 'SPIFFE X509-SVID section 2; Istio: an outbound ztunnel compares the whole id',
    explanation: 'The client decides by this name whether it has reached the workload it dialled.',
    run: async (context) => {
      const { raw } = (await context.tls()).getPeerCertificate()
      if (raw === undefined) return fail('no certificate')
      const certificate = new X509Certificate(raw)
      const names = certificate.subjectAltName ?? 'no SAN'
      const uris = names.split('URI:').length - 1
      if (peerSpiffeIds(certificate).length !== 1 || uris !== 1) return fail(names)
      const { serverIdentity } = context.target
      return expect(serverIdentity === undefined || names.includes(`URI:${serverIdentity}`), names)
    },
  },
  {
    name: 'tls/no-resumption',
    title: 'resumes no session',
    level: 'ours',
    standsOn: 'Istio: ztunnel resumes no session',
    explanation:
      'A resumed session skips the certificates: an expired or replaced client would be believed for as long as its ticket lives.',
    run: async (context) => {
      const connection = await context.http2()
      let session: Buffer | undefined
      connection.socket.on('session', (ticket: Buffer) => {
        session = ticket
      })
      // Tickets come before the first bytes of HTTP/2.
      await connection.roundTrip()
      if (session === undefined) return pass('no ticket')
      const again = await context.tls({ session })
      return expect(
        !again.isSessionReused(),
        again.isSessionReused() ? 'resumed' : 'a ticket that does nothing',
      )
    },
  },
]

function oldVersion(
  version: 'TLSv1.1' | 'TLSv1.2',
  level: Check['level'],
  standsOn: string,
  explanation: string,
): Check {
  const shown = version.replace('TLSv', 'TLS ')
  return {
    name: `tls/${version.slice(4)}-refused`,
    title: `refuses ${shown}`,
    level,
    standsOn,
    explanation,
    run: (context) => offered(context, version),
  }
}

async function offered(context: CheckContext, version: 'TLSv1.1' | 'TLSv1.2') {
  const options: ConnectionOptions = {
    minVersion: version,
    maxVersion: version,
    // OpenSSL offers what it thinks weak only when told so.
    ...(version === 'TLSv1.1' ? { ciphers: 'DEFAULT@SECLEVEL=0' } : {}),
  }
  const found = await context.attempt(options, context.target.identity.good)
  if (found.kind === 'served') return fail(describe(found))
  return found.why.includes('no protocols available')
    ? notApplicable('our own OpenSSL cannot offer it')
    : pass(found.why)
}

function describe(found: Attempt): string {
  return found.kind === 'refused' ? found.why : `served: ${found.protocol}, ALPN ${found.alpn || 'none'}`
}
