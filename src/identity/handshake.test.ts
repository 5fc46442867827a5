import t from 'tap'
import { createInMemoryCa } from './ca-create.ts'
import { CertificateAuthority } from './certificate-authority.ts'
import { createCsr } from './csr.ts'
import { generateKeyPair, privateKeyPem } from './keys.ts'
import { formatSpiffeId, type SpiffeId } from './spiffe-id.ts'
import type { Svid } from './svid.ts'
import { handshake, newAuthority, workloadId } from './test-support.ts'
import { createSvid } from './x509-svid.ts'

const A = workloadId('a')
const B = workloadId('b')

/** An SVID whose trust is not its CA's root but the given bundle. */
async function svidTrusting(authority: CertificateAuthority, id: SpiffeId, roots: string): Promise<Svid> {
  const keys = await generateKeyPair()
  const chain = await authority.sign({ csrPem: await createCsr(id, keys), id, ttlSeconds: 600 })
  const certChainPem = [...chain.slice(0, -1), roots]
  return createSvid({ id, privateKeyPem: privateKeyPem(keys.privateKey), certChainPem })
}

t.test('two SVIDs of one CA: TLS 1.3, mutual', async (t) => {
  const authority = await newAuthority()
  const [a, b] = [await authority.issueSvid(A, 600), await authority.issueSvid(B, 600)]
  const result = await handshake(a, b, [formatSpiffeId(B)])
  t.match(result, { clientError: undefined, serverError: undefined, protocol: 'TLSv1.3' })
  t.equal(result.cipher, 'TLS_AES_256_GCM_SHA384')
})

t.test('a server of another identity is refused by the client', async (t) => {
  const authority = await newAuthority()
  const [a, b] = [await authority.issueSvid(A, 600), await authority.issueSvid(B, 600)]
  const { clientError } = await handshake(a, b, [formatSpiffeId(A)])
  t.match(clientError, /^identity verification error: peer did not present the expected SAN/)
})

t.test('a client of a foreign trust domain is refused by the server, even with a shared root', async (t) => {
  const authority = await newAuthority()
  const foreign = await authority.issueSvid(workloadId('a', 'other.domain'), 600)
  const { clientError, serverError } = await handshake(foreign, await authority.issueSvid(B, 600), [
    formatSpiffeId(B),
  ])
  t.equal(clientError, undefined)
  t.match(serverError, /did not present the expected trustdomain \(cluster.local\)/)
})

t.test('a peer of another root is refused, whichever side it is', async (t) => {
  const [ours, theirs] = [await newAuthority(), await newAuthority()]
  const both = ours.material.rootsPem + theirs.material.rootsPem
  const server = await handshake(await ours.issueSvid(A, 600), await svidTrusting(theirs, B, both), [
    formatSpiffeId(B),
  ])
  t.match(server.clientError, /unable to (get|verify)|self-signed/)
  const client = await handshake(await svidTrusting(theirs, A, both), await ours.issueSvid(B, 600), [
    formatSpiffeId(B),
  ])
  t.match(client.serverError, /UNABLE_TO_VERIFY|SELF_SIGNED|UNABLE_TO_GET_ISSUER/)
})

t.test('root rotation: old and new certificates meet while both roots are trusted', async (t) => {
  const [old, next] = [await newAuthority(), await newAuthority()]
  const both = old.material.rootsPem + next.material.rootsPem
  const a = await svidTrusting(old, A, both)
  const b = await svidTrusting(next, B, both)
  t.match(await handshake(a, b, [formatSpiffeId(B)]), { clientError: undefined, serverError: undefined })
  t.match(await handshake(b, a, [formatSpiffeId(A)]), { clientError: undefined, serverError: undefined })
})

t.test('a client accepts an intermediate as its anchor', async (t) => {
  const authority = await newAuthority()
  const a = await svidTrusting(authority, A, authority.material.issuerPem)
  const b = await authority.issueSvid(B, 600)
  t.match(await handshake(a, b, [formatSpiffeId(B)]), { clientError: undefined, serverError: undefined })
})

t.test('an expired certificate is refused on both sides', async (t) => {
  const material = await createInMemoryCa()
  const authority = new CertificateAuthority(material)
  const past = new CertificateAuthority(material, { now: () => Date.now() - 60_000 })
  const [a, b] = [await authority.issueSvid(A, 600), await authority.issueSvid(B, 600)]
  const server = await handshake(a, await past.issueSvid(B, 30), [formatSpiffeId(B)])
  t.match(server.clientError, /expired/)
  const client = await handshake(await past.issueSvid(A, 30), b, [formatSpiffeId(B)])
  t.match(client.serverError, /CERT_HAS_EXPIRED/)
})
