import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createCa } from './ca-create.ts'
import { loadCa, loadOrCreateCa, openCa } from './ca-files.ts'
import { CertificateAuthority } from './certificate-authority.ts'
import { workloadId } from './test-support.ts'

const FILES = ['ca-cert.pem', 'ca-key.pem', 'cert-chain.pem', 'root-cert.pem', 'root-key.pem']
const ID = workloadId('a')

const mode = (path: string): number => statSync(path).mode & 0o777

t.test('made on first start, found on the second', async (t) => {
  const dir = join(t.testdir(), 'new', 'certs')
  const first = await openCa(dir, { trustDomain: 'td.example' })
  t.equal(first.created, true)
  t.match(first.material.subject, /td\.example/)
  t.same(readdirSync(dir).sort(), FILES)
  t.equal(mode(dir), 0o700)
  for (const name of FILES) t.equal(mode(join(dir, name)), name.endsWith('-key.pem') ? 0o600 : 0o644, name)
  const second = await openCa(dir)
  t.equal(second.created, false)
  t.equal(second.material.rootsPem, first.material.rootsPem)
  t.same(second.material.warnings, [])
  await new CertificateAuthority(second.material).issueSvid(ID, 60)
})

t.test(
  'a folder with only the page that comes with it is closed to others, one in other use is not',
  async (t) => {
    const own = t.testdir({ 'README.md': '' })
    chmodSync(own, 0o755)
    await loadOrCreateCa(own)
    t.equal(mode(own), 0o700)
    const shared = join(own, 'shared')
    mkdirSync(shared, { mode: 0o755 })
    writeFileSync(join(shared, 'something'), '')
    await loadOrCreateCa(shared)
    t.equal(mode(shared), 0o755)
  },
)

t.test('processes that start at once on an empty folder get one CA', { timeout: 60_000 }, async (t) => {
  for (let round = 0; round < 5; round++) {
    const dir = join(t.testdir(), `round-${round}`)
    const results = await Promise.all(Array.from({ length: 8 }, () => openCa(dir)))
    t.equal(new Set(results.map(({ material }) => material.rootsPem + material.issuerPem)).size, 1)
    t.equal(results.filter(({ created }) => created).length <= 1, true)
    t.same(readdirSync(dir).sort(), FILES, 'nothing is left behind')
  }
})

t.test('a start that died while publishing is finished by the next', async (t) => {
  const dir = t.testdir()
  const made = await loadOrCreateCa(dir)
  // As left by a crash after two of the five links.
  mkdirSync(join(dir, '.new-ca'))
  for (const name of FILES)
    writeFileSync(join(dir, '.new-ca', name), readFileSync(join(dir, name)), { mode: 0o600 })
  for (const name of ['ca-cert.pem', 'ca-key.pem', 'root-key.pem']) rmSync(join(dir, name))
  const repaired = await openCa(dir)
  t.equal(repaired.created, false)
  t.equal(repaired.material.issuerPem, made.issuerPem)
  t.same(readdirSync(dir).sort(), FILES)
})

t.test('loading never writes', async (t) => {
  const dir = join(t.testdir(), 'absent')
  await t.rejects(loadCa(dir), { code: 'CA_FILES_INVALID', message: /run "ztunnel certs init --dir/ })
  t.equal(existsSync(dir), false)
})

t.test('some of the files: refused, nothing is made', async (t) => {
  for (const missing of FILES.slice(0, 4)) {
    const dir = join(t.testdir(), missing)
    await loadOrCreateCa(dir)
    rmSync(join(dir, missing))
    await t.rejects(loadOrCreateCa(dir), {
      code: 'CA_FILES_INVALID',
      message: new RegExp(`missing CA file \\S*${missing}`),
    })
    t.equal(existsSync(join(dir, missing)), false)
  }
  const leftover = t.testdir({ 'root-key.pem': 'x' })
  await t.rejects(loadOrCreateCa(leftover), { message: /root-key.pem is there without its root-cert.pem/ })
})

t.test('each broken file is named, with what to do', async (t) => {
  const good = join(t.testdir(), 'good')
  await loadOrCreateCa(good)
  const other = await createCa()
  const cases: [file: string, text: string, message: RegExp][] = [
    ['ca-key.pem', other.caKeyPem, /ca-key.pem: is not the key of ca-cert.pem/],
    ['ca-key.pem', 'junk', /ca-key.pem: cannot be used as a private key/],
    ['ca-key.pem', '-----BEGIN ENCRYPTED PRIVATE KEY-----', /ca-key.pem: is encrypted; store it decrypted/],
    ['ca-cert.pem', 'junk', /ca-cert.pem: holds no PEM certificate/],
    ['ca-cert.pem', other.caCertPem, /ca-key.pem: is not the key of ca-cert.pem/],
    [
      'root-cert.pem',
      other.rootCertPem,
      /cert-chain.pem: does not lead from ca-cert.pem to a certificate in root-cert/,
    ],
    [
      'root-cert.pem',
      '-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n',
      /root-cert.pem: certificate 1 cannot/,
    ],
    ['cert-chain.pem', '', /cert-chain.pem: holds no PEM certificate/],
  ]
  for (const [file, text, message] of cases) {
    const original = readFileSync(join(good, file), 'utf8')
    writeFileSync(join(good, file), text)
    await t.rejects(loadOrCreateCa(good), { code: 'CA_FILES_INVALID', message }, String(message))
    writeFileSync(join(good, file), original)
  }
  await loadOrCreateCa(good)
})

t.test('a certificate that is no CA, an expired one, an early one', async (t) => {
  const dir = t.testdir()
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' })
  }
  openssl(
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    'ca-key.pem',
    '-out',
    'ca-cert.pem',
    '-subj',
    '/CN=no CA',
    '-addext',
    'basicConstraints=critical,CA:FALSE',
  )
  for (const name of ['cert-chain.pem', 'root-cert.pem'])
    writeFileSync(join(dir, name), readFileSync(join(dir, 'ca-cert.pem')))
  await t.rejects(loadOrCreateCa(dir), { message: /ca-cert.pem: is not a CA certificate/ })

  const made = join(dir, 'made')
  await loadOrCreateCa(made, { now: Date.UTC(2020, 0, 1) })
  const expired = Date.UTC(2026, 0, 1)
  await t.rejects(loadOrCreateCa(made, { now: expired }), {
    message: /ca-cert.pem: .* expired on .*replace it/,
  })
  await t.rejects(loadOrCreateCa(made, { now: Date.UTC(2019, 0, 1) }), {
    message: /not valid before .*clock/,
  })
})

t.test('an open key file works, with a warning', async (t) => {
  const dir = t.testdir()
  await loadOrCreateCa(dir)
  chmodSync(join(dir, 'ca-key.pem'), 0o644)
  t.match((await loadOrCreateCa(dir)).warnings, [
    /ca-key.pem is open to other users \(mode 644\): run chmod 600/,
  ])
})
