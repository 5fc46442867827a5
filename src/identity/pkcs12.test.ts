import { execFileSync, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect, createServer } from 'node:tls'
import t, { type Test } from 'tap'
import { createPkcs12 } from './pkcs12.ts'
import { listen, newAuthority, workloadId } from './test-support.ts'
import { exportPrivateKeyPem } from './x509-svid.ts'

const PASSWORD = 'a pässword, long enough to be two SHA-256 blocks'

async function keyStore(t: Test, password = PASSWORD) {
  const svid = await (await newAuthority()).issueSvid(workloadId('a'), 600)
  const { certificateChain, roots } = svid
  const privateKeyPem = exportPrivateKeyPem(svid)
  const pfx = createPkcs12({ name: 'workload', privateKeyPem, certificateChain, roots }, password)
  const path = join(t.testdir(), 'keystore.p12')
  writeFileSync(path, pfx)
  return { svid, privateKeyPem, pfx, path }
}

t.test('OpenSSL reads it, sees strong algorithms, and finds what was put in', async (t) => {
  const { svid, privateKeyPem, path } = await keyStore(t)
  const { stdout, stderr } = spawnSync(
    'openssl',
    ['pkcs12', '-info', '-in', path, '-passin', `pass:${PASSWORD}`, '-nodes'],
    { encoding: 'utf8' },
  )
  t.match(stderr, /MAC: sha256, Iteration 10000/)
  t.match(stderr, /Shrouded Keybag: PBES2, PBKDF2, AES-256-CBC, Iteration \d+, PRF hmacWithSHA256/)
  t.ok(stdout.includes(privateKeyPem.trim()))
  for (const pem of [...svid.certificateChain, ...svid.roots]) t.ok(stdout.includes(pem.trim()))
  t.match(stdout, /friendlyName: workload/)
  const wrong = spawnSync('openssl', ['pkcs12', '-in', path, '-passin', 'pass:wrong', '-nodes'])
  t.match(String(wrong.stderr), /invalid password/)
})

t.test("a TLS server and a client of Node's use it as it is", async (t) => {
  const { svid, pfx } = await keyStore(t)
  const options = { pfx, passphrase: PASSWORD, ca: [...svid.roots] }
  const server = createServer({ ...options, requestCert: true, rejectUnauthorized: true }, (socket) =>
    socket.end(socket.getPeerX509Certificate()?.subjectAltName ?? 'none'),
  )
  const port = await listen(server)
  t.teardown(() => server.close())
  const socket = connect({ host: '127.0.0.1', port, ...options, checkServerIdentity: () => undefined })
  const chunks = await socket.setEncoding('utf8').toArray()
  t.equal(chunks.join(''), 'URI:spiffe://cluster.local/ns/default/sa/a')
})

t.test('each certificate is what Java goes by: of the key, of its chain, or marked as trusted', async (t) => {
  const { path } = await keyStore(t)
  const argv = ['pkcs12', '-in', path, '-passin', `pass:${PASSWORD}`, '-nokeys']
  const [leaf = '', intermediate = '', root = '', ...others] = execFileSync('openssl', argv, {
    encoding: 'utf8',
  }).split(/(?<=-----END CERTIFICATE-----)/)
  t.match(leaf, /friendlyName: workload\n\s+localKeyID: /, 'the entry of the private key')
  t.match(intermediate, 'Bag Attributes: <No Attributes>', 'found by its subject')
  // Without this attribute, which newer OpenSSL has a name for, Java takes a root for a part of the chain only.
  t.match(
    root,
    /friendlyName: root-1\n\s+(2\.16\.840\.1\.113894\.746875\.1\.1|Trusted key usage \(Oracle\)): /,
  )
  t.equal(others.join('').trim(), '')
})
