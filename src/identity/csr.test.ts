import { createPublicKey } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { createCsr } from './csr.ts'
import { generateKeyPair, subjectPublicKeyInfo } from './keys.ts'
import { pemBlocks, pemToDer } from './pem.ts'
import { formatSpiffeId } from './spiffe-id.ts'
import { x509 } from './x509.ts'

t.test('another library reads back what was asked for, and the signature holds', async (t) => {
  const keys = await generateKeyPair()
  // Kubernetes' lengths: every form of a DER length occurs.
  const name = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,250}[a-z0-9])?$/)
  const property = fc.asyncProperty(name, name, name, async (trustDomain, namespace, serviceAccount) => {
    const id = { trustDomain, namespace, serviceAccount }
    const [block, extra] = pemBlocks(await createCsr(id, keys))
    if (block === undefined || extra !== undefined) throw new Error('not one block')
    const { Pkcs10CertificateRequest, SubjectAlternativeNameExtension } = x509()
    const request = new Pkcs10CertificateRequest(pemToDer(block))
    const [san, ...others] = request.extensions
    if (!(san instanceof SubjectAlternativeNameExtension)) throw new Error('no SAN')
    const names = san.names.items.map(({ type, value }) => ({ type, value }))
    return (
      block.label === 'CERTIFICATE REQUEST' &&
      request.subject === '' &&
      others.length === 0 &&
      san.critical &&
      names.length === 1 &&
      names[0]?.type === 'url' &&
      names[0].value === formatSpiffeId(id) &&
      Buffer.from(request.publicKey.rawData).equals(subjectPublicKeyInfo(keys.publicKey)) &&
      (await request.verify())
    )
  })
  await fc.assert(property, {
    numRuns: 50,
    examples: [
      ['cluster.local', 'default', 'default'],
      ['t'.repeat(250), 'n'.repeat(250), 'a'.repeat(250)],
    ],
  })
  t.pass()
})

t.test('it is, to the byte, what the library would have asked for, but for the signature', async (t) => {
  const keys = await generateKeyPair()
  const id = { trustDomain: 'cluster.local', namespace: 'default', serviceAccount: 'web' }
  const { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } = x509()
  const expected = await Pkcs10CertificateRequestGenerator.create({
    keys,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [new SubjectAlternativeNameExtension([{ type: 'url', value: formatSpiffeId(id) }], true)],
  })
  const [block] = pemBlocks(await createCsr(id, keys))
  const der = block === undefined ? Buffer.alloc(0) : pemToDer(block)
  // A signature is of 70 to 72 bytes, so the outer length may differ: from the request info on, up to the signature.
  const spki = subjectPublicKeyInfo(keys.publicKey)
  const from = der.indexOf(spki)
  const end = from + spki.length + 70
  t.ok(from > 0)
  const theirs = Buffer.from(expected.rawData)
  const offset = theirs.indexOf(spki)
  t.same(der.subarray(from, end), theirs.subarray(offset, offset + spki.length + 70))
  t.equal(createPublicKey({ key: spki, format: 'der', type: 'spki' }).asymmetricKeyType, 'ec')
})
