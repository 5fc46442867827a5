import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadOrCreateCa } from './ca-files.ts'
import { CertificateAuthority } from './certificate-authority.ts'
import { formatSpiffeId } from './spiffe-id.ts'
import { handshake, workloadId } from './test-support.ts'

const A = workloadId('a')
const B = workloadId('b')

type OpenSsl = (...args: string[]) => void

/** A root, an intermediate under it, as Istio's documentation makes `cacerts` with OpenSSL. */
function makeCacerts(dir: string, newKey: string[], convertKey?: (openssl: OpenSsl) => void): void {
  const openssl: OpenSsl = (...args) => {
    execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' })
  }
  const ca = [
    '-addext',
    'basicConstraints=critical,CA:TRUE',
    '-addext',
    'keyUsage=critical,keyCertSign,cRLSign',
  ]
  openssl(
    'req',
    '-x509',
    ...newKey,
    '-nodes',
    '-days',
    '30',
    '-keyout',
    'root-key.pem',
    '-out',
    'root-cert.pem',
    '-subj',
    '/O=Own/CN=Own Root',
    '-utf8',
    ...ca,
  )
  openssl(
    'req',
    ...newKey,
    '-nodes',
    '-keyout',
    'ca-key.pem',
    '-out',
    'ca.csr',
    '-subj',
    '/O=Ünïcode/L=x/CN=Own Intermediate',
    '-utf8',
  )
  writeFileSync(
    join(dir, 'ext'),
    'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n',
  )
  openssl(
    'x509',
    '-req',
    '-in',
    'ca.csr',
    '-CA',
    'root-cert.pem',
    '-CAkey',
    'root-key.pem',
    '-set_serial',
    '2',
    '-days',
    '20',
    '-extfile',
    'ext',
    '-out',
    'ca-cert.pem',
  )
  writeFileSync(
    join(dir, 'cert-chain.pem'),
    readFileSync(join(dir, 'ca-cert.pem'), 'utf8') + readFileSync(join(dir, 'root-cert.pem'), 'utf8'),
  )
  convertKey?.(openssl)
}

async function serves(t: Test, dir: string): Promise<void> {
  const material = await loadOrCreateCa(dir)
  const authority = new CertificateAuthority(material)
  const [a, b] = [await authority.issueSvid(A, 600), await authority.issueSvid(B, 600)]
  t.match(await handshake(a, b, [formatSpiffeId(B)]), { clientError: undefined, serverError: undefined })
  t.equal(a.certificateChain.length, 2, 'leaf and intermediate, not the root')
  const leaf = new X509Certificate(a.certificateChain[0] ?? '')
  t.ok(leaf.verify(new X509Certificate(material.issuerPem).publicKey))
  // rustls chains by the bytes of the names.
  const args = ['x509', '-noout', '-issuer', '-nameopt', 'dump_all,show_type']
  const issuer = execFileSync('openssl', args, { input: leaf.toString(), encoding: 'utf8' })
  const subjectArgs = ['x509', '-noout', '-subject', '-nameopt', 'dump_all,show_type']
  const subject = execFileSync('openssl', subjectArgs, { input: material.issuerPem, encoding: 'utf8' })
  t.equal(issuer.replace('issuer=', ''), subject.replace('subject=', ''))
}

t.test('RSA, PKCS#8 key', async (t) => {
  const dir = t.testdir()
  makeCacerts(dir, ['-newkey', 'rsa:2048'])
  await serves(t, dir)
})

t.test('RSA, PKCS#1 key', async (t) => {
  const dir = t.testdir()
  makeCacerts(dir, ['-newkey', 'rsa:2048'], (openssl) =>
    openssl('rsa', '-in', 'ca-key.pem', '-traditional', '-out', 'ca-key.pem'),
  )
  t.match(readFileSync(join(dir, 'ca-key.pem'), 'utf8'), /BEGIN RSA PRIVATE KEY/)
  await serves(t, dir)
})

t.test('EC P-384, SEC 1 key', async (t) => {
  const dir = t.testdir()
  makeCacerts(dir, ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384'], (openssl) =>
    openssl('ec', '-in', 'ca-key.pem', '-out', 'ca-key.pem'),
  )
  t.match(readFileSync(join(dir, 'ca-key.pem'), 'utf8'), /BEGIN EC PRIVATE KEY/)
  await serves(t, dir)
})

t.test(
  'a root that was renewed with its key may stand beside the expired one, in either order',
  async (t) => {
    const dir = t.testdir()
    makeCacerts(dir, ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'])
    const renewed = readFileSync(join(dir, 'root-cert.pem'), 'utf8')
    const args = ['x509', '-in', 'root-cert.pem', '-signkey', 'root-key.pem', '-days', '1']
    const expired = execFileSync('openssl', args, { cwd: dir, encoding: 'utf8', stdio: 'pipe' })
    const now = Date.now() + 2 * 86_400_000
    for (const roots of [expired + renewed, renewed + expired]) {
      writeFileSync(join(dir, 'root-cert.pem'), roots)
      t.match((await loadOrCreateCa(dir, { now })).warnings, [
        /root-cert.pem: root .* expired on .*remove it/,
      ])
    }
    writeFileSync(join(dir, 'root-cert.pem'), expired)
    writeFileSync(join(dir, 'cert-chain.pem'), readFileSync(join(dir, 'ca-cert.pem')))
    await t.rejects(loadOrCreateCa(dir, { now }), {
      message: /root-cert.pem: "O=Own, CN=Own Root" expired on/,
    })
  },
)

t.test('an Ed25519 CA is refused: not every mesh peer accepts it', async (t) => {
  const dir = t.testdir()
  makeCacerts(dir, ['-newkey', 'ed25519'])
  await t.rejects(loadOrCreateCa(dir), { message: /ca-key.pem: .*key of type ed25519; use an RSA or EC key/ })
})
