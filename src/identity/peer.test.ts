import fc from 'fast-check'
import t from 'tap'
import { peerIdentity, peerSpiffeIds, verifyPeerTrustDomain, verifyServerIdentity } from './peer.ts'
import { formatSpiffeId, parseSpiffeId } from './spiffe-id.ts'
import { certificateWithNames } from './test-support.ts'
import type { JsonGeneralNames } from './x509.ts'

const A = 'spiffe://cluster.local/ns/default/sa/a'
const B = 'spiffe://cluster.local/ns/default/sa/b'

async function idsOf(names: JsonGeneralNames): Promise<string[]> {
  return peerSpiffeIds(await certificateWithNames(names)).map(formatSpiffeId)
}

t.test('SPIFFE ids in the order of the certificate, other names left out', async (t) => {
  const names: JsonGeneralNames = [
    { type: 'dns', value: 'example.org' },
    { type: 'url', value: 'https://example.org/' },
    { type: 'url', value: B },
    { type: 'url', value: A },
    { type: 'ip', value: '10.0.0.1' },
  ]
  const cert = await certificateWithNames(names)
  t.same(peerSpiffeIds(cert).map(formatSpiffeId), [B, A])
  t.same(peerIdentity(cert), parseSpiffeId(B))
})

t.test('a name that spells another SAN forges nothing', async (t) => {
  const forgeries: JsonGeneralNames[] = [
    [{ type: 'dns', value: `x, URI:${A}` }],
    [{ type: 'dns', value: `x", URI:${A}, DNS:"` }],
    [{ type: 'dns', value: `\\", URI:${A}` }],
    [{ type: 'dns', value: `x\u0000, URI:${A}` }],
    [{ type: 'email', value: `x, URI:${A}` }],
    [{ type: 'url', value: `https://x/, URI:${A}` }],
    [{ type: 'url', value: `x, URI:${A}` }],
    [{ type: 'url', value: `https://x/"\\", URI:${A}` }],
    [{ type: 'dn', value: `CN=x\\, URI:${A}` }],
    [{ type: 'dns', value: `x,URI:${A}` }],
  ]
  for (const names of forgeries) t.same(await idsOf(names), [], JSON.stringify(names))
})

t.test('the ids are those of the DER, whatever the names hold', { timeout: 120_000 }, async () => {
  const nasty = fc.stringMatching(/^[ -~]{0,12}$/).map((text) => text.replaceAll('\u0000', ''))
  const spelled = fc
    .tuple(nasty, fc.constantFrom(', URI:', '", URI:', '\\", URI:', ',URI:'))
    .map((p) => p.join('') + A)
  const name = fc.record({
    type: fc.constantFrom('dns' as const, 'url' as const, 'email' as const),
    value: fc.oneof(nasty, spelled, fc.constant(A), fc.constant(B)),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(name, { minLength: 1, maxLength: 5 }), async (names) => {
      const expected = names
        .filter((entry) => entry.type === 'url' && entry.value !== '')
        .map((entry) => entry.value)
        // Outside these characters Node quotes the value; no SPIFFE id holds them.
        .filter((value) => parseSpiffeId(value) !== undefined && !/[",'\\]/.test(value))
      const got = await idsOf(names)
      return JSON.stringify(got) === JSON.stringify(expected)
    }),
    { numRuns: 150 },
  )
})

t.test('the dialling side wants one of the expected ids', async (t) => {
  const cert = await certificateWithNames([
    { type: 'url', value: A },
    { type: 'url', value: B },
  ])
  t.equal(verifyServerIdentity(cert, ['spiffe://x/ns/y/sa/z', B]), undefined)
  const other = 'spiffe://other/ns/default/sa/a'
  t.match(verifyServerIdentity(cert, [other, 'spiffe://x/ns/y/sa/z']), {
    code: 'PEER_MISMATCH',
    message: `identity verification error: peer did not present the expected SAN (${other},spiffe://x/ns/y/sa/z), got ${A},${B}`,
  })
  t.match(verifyServerIdentity(cert, [])?.message, /expected SAN \(\), got/)
})

t.test('the accepting side wants its own trust domain', async (t) => {
  const cert = await certificateWithNames([{ type: 'url', value: 'spiffe://other/ns/default/sa/a' }])
  t.equal(verifyPeerTrustDomain(cert, 'other'), undefined)
  t.equal(
    verifyPeerTrustDomain(cert, 'cluster.local')?.message,
    'identity verification error: peer did not present the expected trustdomain (cluster.local), got spiffe://other/ns/default/sa/a',
  )
  const nobody = await certificateWithNames([{ type: 'dns', value: 'cluster.local' }])
  t.match(verifyPeerTrustDomain(nobody, 'cluster.local'), { code: 'PEER_MISMATCH' })
  t.equal(peerIdentity(nobody), undefined)
})
