import { X509Certificate } from 'node:crypto'
import { formatSpiffeId, peerIdentity } from '../../identity/index.ts'
import { received } from '../application.ts'
import { type Check, expect, fail } from '../check.ts'
import { dataFrame } from '../frames.ts'

/** What an application behind an application tunnel of protocol PROXY is told. */
export const proxyProtocolChecks: readonly Check[] = [
  {
    name: 'proxy-protocol/header',
    title: "begins the application's connection with a PROXY v2 header: client, destination, identity",
    level: 'must',
    standsOn: 'Istio: application tunnel of protocol PROXY; TLV 0xD0 is the SPIFFE URI of the peer',
    explanation: 'A waypoint behind a ztunnel learns from it who asks, and for what. It believes it.',
    needs: ['proxy'],
    run: async (context) => {
      const connection = await context.connected()
      const authority = context.target.proxyAuthority ?? ''
      const { stream, app } = await context.pair(connection, authority)
      connection.write(dataFrame(stream.id, Buffer.from('question'), true))
      const text = String(await received(app))
      if (app.proxy === undefined) return fail('no PROXY header')
      const leaf = peerIdentity(new X509Certificate(context.target.identity.good.chain))
      const identity = leaf === undefined ? undefined : formatSpiffeId(leaf)
      const { proxied, source, destination, tlvs } = app.proxy
      const seen = `${source} to ${destination}, ${tlvs.get(IDENTITY_TLV) ?? 'no identity'}`
      const isFromUs = source?.endsWith(`:${connection.socket.localPort}`) === true
      const isRight = isFromUs && destination === authority && tlvs.get(IDENTITY_TLV) === identity
      return expect(proxied && isRight && text === 'question', seen)
    },
  },
]

/** Istio's, out of the range for applications (0xE0 would be the first experimental one). */
const IDENTITY_TLV = 0xd0
