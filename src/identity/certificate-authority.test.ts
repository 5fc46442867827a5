import { execFileSync } from 'node:child_process'
import { generateKeyPairSync, webcrypto, X509Certificate } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { createInMemoryCa } from './ca-create.ts'
import { CertificateAuthority, MAX_CSR_BYTES } from './certificate-authority.ts'
import { createCsr } from './csr.ts'
import { generateKeyPair } from './keys.ts'
import { newAuthority, workloadId } from './test-support.ts'
import { x509 } from './x509.ts'

const ID = workloadId('sleep')
const OTHER = workloadId('somebody-else')

async function newCsr(): Promise<string> {
  return createCsr(ID, await generateKeyPair())
}

t.test('the leaf is what Istio makes, and OpenSSL accepts it for both uses', async (t) => {
  const authority = await newAuthority()
  const [leafPem = '', intermediate = '', roots = ''] = await authority.sign({
    csrPem: await newCsr(),
    id: ID,
    ttlSeconds: 3_600,
  })
  const dir = t.testdir({ leafPem, intermediate, roots })
  for (const purpose of ['sslserver', 'sslclient']) {
    const args = [
      'verify',
      '-x509_strict',
      '-purpose',
      purpose,
      '-CAfile',
      'roots',
      '-untrusted',
      'intermediate',
    ]
    t.match(execFileSync('openssl', [...args, 'leafPem'], { cwd: dir, encoding: 'utf8' }), /OK/)
  }
  const text = execFileSync('openssl', ['x509', '-in', 'leafPem', '-noout', '-text'], {
    cwd: dir,
    encoding: 'utf8',
  })
  t.match(text, /Subject: \n/)
  t.match(text, /Key Usage: critical\s+Digital Signature, Key Encipherment\n/)
  t.match(text, /Extended Key Usage: \s+TLS Web Server Authentication, TLS Web Client Authentication\n/)
  t.match(text, /Alternative Name: critical\s+URI:spiffe:\/\/cluster.local\/ns\/default\/sa\/sleep\n/)
  t.ok([leafPem, intermediate, roots].every((pem) => pem.endsWith('-----\n')))
})

t.test('the names in a request are ignored', async (t) => {
  const csrPem = await createCsr(OTHER, await generateKeyPair())
  const [leaf = ''] = await (await newAuthority()).sign({ csrPem, id: ID, ttlSeconds: 60 })
  t.equal(new X509Certificate(leaf).subjectAltName, 'URI:spiffe://cluster.local/ns/default/sa/sleep')
})

t.test('lifetime: from two minutes ago, never beyond the CA', async (t) => {
  const now = Date.UTC(2030, 0, 1)
  const material = await createInMemoryCa({ now })
  const authority = new CertificateAuthority(material, { now: () => now })
  const short = await authority.issueSvid(ID, 20)
  t.equal(short.notBefore.getTime(), now - 120_000)
  t.equal(short.notAfter.getTime(), now + 20_000)
  const long = await authority.issueSvid(ID, 50 * 365 * 86_400)
  t.same(long.notAfter, material.notAfter)
  const tooLate = new CertificateAuthority(material, { now: () => material.notAfter.getTime() })
  await t.rejects(tooLate.issueSvid(ID, 20), {
    code: 'CA_EXPIRED',
    message: /expired at .*replace ca-cert.pem/,
  })
})

t.test('serial numbers differ and are positive', async (t) => {
  const authority = await newAuthority()
  const serials = new Set<string>()
  for (let i = 0; i < 20; i++) serials.add((await authority.issueSvid(ID, 60)).serialNumber)
  t.equal(serials.size, 20)
})

t.test('the issuer name is the CA subject byte for byte', async (t) => {
  // rustls compares encodings, so a re-encoded name would break the chain there.
  const authority = await newAuthority()
  const [leaf = ''] = await authority.sign({ csrPem: await newCsr(), id: ID, ttlSeconds: 60 })
  const issuer = Buffer.from(new (x509().X509Certificate)(leaf).issuerName.toArrayBuffer())
  t.ok(new X509Certificate(leaf).raw.includes(issuer))
  t.ok(new X509Certificate(authority.material.issuerPem).raw.includes(issuer))
})

t.test('RSA and P-384 keys are signed, weak and unusual ones refused', async (t) => {
  const authority = await newAuthority()
  const sign = async (
    algorithm: webcrypto.EcKeyGenParams | webcrypto.RsaHashedKeyGenParams,
  ): Promise<string[]> => {
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
    const signingAlgorithm = { name: algorithm.name, hash: 'SHA-256' }
    const csr = await x509().Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm })
    return authority.sign({ csrPem: csr.toString('pem'), id: ID, ttlSeconds: 60 })
  }
  const rsa = (modulusLength: number): webcrypto.RsaHashedKeyGenParams => ({
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength,
    publicExponent: new Uint8Array([1, 0, 1]),
  })
  t.equal((await sign(rsa(2048))).length, 3)
  t.equal((await sign({ name: 'ECDSA', namedCurve: 'P-384' })).length, 3)
  await t.rejects(sign(rsa(1024)), { code: 'REQUEST_INVALID', message: /RSA key of 1024 bits/ })
  await t.rejects(sign({ name: 'ECDSA', namedCurve: 'P-521' }), { message: /curve secp521r1/ })
})

t.test('a request whose signature is not its key is refused', async (t) => {
  const csr = await newCsr()
  const der = Buffer.from(csr.split('\n').slice(1, -2).join(''), 'base64')
  const spki = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
    type: 'spki',
    format: 'der',
  })
  const at = der.indexOf(spki.subarray(0, 26))
  t.ok(at > 0)
  spki.copy(der, at)
  const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
  await t.rejects((await newAuthority()).sign({ csrPem: forged, id: ID, ttlSeconds: 60 }), {
    code: 'REQUEST_INVALID',
    message: /signature of the CSR does not match/,
  })
})

t.test('anything else that calls itself a request is refused, never signed', async (t) => {
  const authority = await newAuthority()
  const csr = await newCsr()
  const refused = (csrPem: string, id = ID): Promise<unknown> =>
    t.rejects(authority.sign({ csrPem, id, ttlSeconds: 60 }), {
      name: 'IdentityError',
      code: 'REQUEST_INVALID',
    })
  await refused('')
  await refused(authority.material.rootsPem)
  await refused(csr + csr)
  await refused('x'.repeat(MAX_CSR_BYTES + 1))
  await refused(csr, { ...ID, namespace: 'a/sa/b' })
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      const base64 = Buffer.from(bytes).toString('base64')
      await refused(`-----BEGIN CERTIFICATE REQUEST-----\n${base64}\n-----END CERTIFICATE REQUEST-----\n`)
    }),
    { numRuns: 50 },
  )
})

t.test('no signed byte of a request can be changed', async (t) => {
  const authority = await newAuthority()
  const csr = await newCsr()
  const der = Buffer.from(csr.split('\n').slice(1, -2).join(''), 'base64')
  // 30 82 LL LL is the whole, 30 81 LL the signed CertificationRequestInfo (RFC 2986); the wrapper may be loose BER.
  t.same([der[0], der[1], der[4], der[5]], [0x30, 0x82, 0x30, 0x81])
  const signedEnd = 7 + (der[6] ?? 0)
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 4, max: signedEnd - 1 }),
      fc.integer({ min: 1, max: 255 }),
      async (at, flip) => {
        const broken = Buffer.from(der)
        broken[at] = (broken[at] ?? 0) ^ flip
        const csrPem = `-----BEGIN CERTIFICATE REQUEST-----\n${broken.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
        await t.rejects(authority.sign({ csrPem, id: ID, ttlSeconds: 60 }), { code: 'REQUEST_INVALID' })
      },
    ),
    { numRuns: 200 },
  )
})
