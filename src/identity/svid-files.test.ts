import { createPrivateKey, X509Certificate } from 'node:crypto'
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadOrCreateCa } from './ca-files.ts'
import { CertificateAuthority } from './certificate-authority.ts'
import { writeSvidFiles } from './svid-files.ts'
import { newAuthority, workloadId } from './test-support.ts'

const A = workloadId('a')
const NAMES = ['cert-chain.pem', 'key.pem', 'root-cert.pem']

const visible = (dir: string): string[] =>
  readdirSync(dir)
    .filter((name) => !name.startsWith('..'))
    .sort()

/** Key and leaf of one look: both through the folder that ..data names at one moment, as a careful reader does. */
function belongTogether(dir: string): boolean {
  const generation = join(dir, readlinkSync(join(dir, '..data')))
  const leaf = new X509Certificate(readFileSync(join(generation, 'cert-chain.pem')))
  return leaf.checkPrivateKey(createPrivateKey(readFileSync(join(generation, 'key.pem'))))
}

t.test("key, chain and roots by Istio's names, the key for its owner only", async (t) => {
  const dir = join(t.testdir(), 'new', 'out')
  const svid = await (await newAuthority()).issueSvid(A, 600)
  await writeSvidFiles(dir, svid)
  t.same(visible(dir), NAMES)
  t.equal(statSync(dir).mode & 0o777, 0o700)
  t.equal(statSync(join(dir, 'key.pem')).mode & 0o777, 0o600)
  t.equal(readFileSync(join(dir, 'cert-chain.pem'), 'utf8'), svid.certificateChain.join(''))
  t.equal(readFileSync(join(dir, 'root-cert.pem'), 'utf8'), svid.roots.join(''))
  t.ok(belongTogether(dir))
  await writeSvidFiles(dir, svid, { pkcs12Password: 'secret' })
  t.same(visible(dir), [...NAMES.slice(0, 2), 'keystore.p12', 'root-cert.pem'])
  t.equal(statSync(join(dir, 'keystore.p12')).mode & 0o777, 0o600)
  await writeSvidFiles(dir, svid)
  t.same(visible(dir), NAMES, 'no key store is left of a time when it was asked for')
})

t.test('replaced as a set: no reader finds a key without its chain', async (t) => {
  const dir = t.testdir()
  const authority = await newAuthority()
  await writeSvidFiles(dir, await authority.issueSvid(A, 600))
  let writing = true
  let looks = 0
  const reading = (async () => {
    while (writing) {
      if (!belongTogether(dir)) throw new Error('a mixed set')
      looks++
      await new Promise(setImmediate)
    }
  })()
  const leaves = new Set<string>()
  for (let round = 0; round < 20; round++) {
    await writeSvidFiles(dir, await authority.issueSvid(A, 600))
    leaves.add(readFileSync(join(dir, 'cert-chain.pem'), 'utf8'))
  }
  writing = false
  await reading
  t.equal(leaves.size, 20)
  t.ok(looks > 20, `${looks} looks`)
  const hidden = readdirSync(dir).filter((name) => name.startsWith('..'))
  t.equal(hidden.length, 3, '..data, the generation in force and the one before')
})

t.test("a folder with somebody else's files is refused, and left as it is", async (t) => {
  const dir = t.testdir()
  const material = await loadOrCreateCa(dir)
  const before = readdirSync(dir)
  const svid = await new CertificateAuthority(material).issueSvid(A, 600)
  await t.rejects(writeSvidFiles(dir, svid), {
    code: 'FILES_UNWRITABLE',
    message: /cert-chain.pem is there and was not written by this command: give a folder of its own/,
  })
  t.same(readdirSync(dir), before)
})

t.test('a folder that cannot be written is an error with the folder, not half a set', async (t) => {
  const dir = t.testdir({ file: '' })
  const svid = await (await newAuthority()).issueSvid(A, 600)
  await t.rejects(writeSvidFiles(join(dir, 'file', 'out'), svid), {
    code: 'FILES_UNWRITABLE',
    message: /cannot write the certificate of spiffe:.* into .*file\/out: ENOTDIR/,
  })
})

t.test("the mode of a folder that exists is its owner's affair", async (t) => {
  const dir = join(t.testdir(), 'shared')
  mkdirSync(dir)
  chmodSync(dir, 0o755)
  writeFileSync(join(dir, 'README'), '')
  await writeSvidFiles(dir, await (await newAuthority()).issueSvid(A, 600))
  t.equal(statSync(dir).mode & 0o777, 0o755)
  t.equal(statSync(join(dir, 'root-cert.pem')).mode & 0o777, 0o644)
})
