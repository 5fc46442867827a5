import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createCa } from './ca-create.ts'
import { loadCa, loadOrCreateCa } from './ca-files.ts'
import { addRoot, dropRoots, rotateIntermediate, useRoot } from './ca-rotate.ts'
import { CertificateAuthority } from './certificate-authority.ts'
import { formatSpiffeId } from './spiffe-id.ts'
import type { Svid } from './svid.ts'
import { handshake, workloadId } from './test-support.ts'

const FILES = ['ca-cert.pem', 'ca-key.pem', 'cert-chain.pem', 'root-cert.pem', 'root-key.pem']
const A = workloadId('a')

async function issue(dir: string): Promise<Svid> {
  return new CertificateAuthority(await loadCa(dir)).issueSvid(A, 600)
}

/** Whether two certificates accept each other, whichever is the client. */
async function talk(t: Test, one: Svid, other: Svid, what: string): Promise<void> {
  for (const [client, server] of [
    [one, other],
    [other, one],
  ] as const) {
    const result = await handshake(client, server, [formatSpiffeId(A)])
    t.match(result, { clientError: undefined, serverError: undefined }, what)
  }
}

t.test('a new intermediate: same root, other key, peers of both accept each other', async (t) => {
  const dir = t.testdir()
  const before = await loadOrCreateCa(dir, { trustDomain: 'td.example' })
  const old = await issue(dir)
  const after = await rotateIntermediate(dir)
  t.not(after.issuerPem, before.issuerPem)
  t.match(after.subject, /td\.example/)
  t.equal(after.rootsPem, before.rootsPem)
  t.same(readdirSync(dir).sort(), FILES, 'nothing is left beside')
  t.equal(statSync(join(dir, 'ca-key.pem')).mode & 0o777, 0o600)
  await talk(t, old, await issue(dir), 'old and new intermediate')
})

t.test(
  'a new root in three steps: at each, certificates of this step and of the one before accept each other',
  async (t) => {
    const dir = t.testdir()
    const before = await loadOrCreateCa(dir)
    const first = await issue(dir)

    const added = await addRoot(dir)
    t.equal(added.roots.length, 2)
    t.equal(added.issuerPem, before.issuerPem, 'the old CA goes on signing')
    t.same((await addRoot(dir)).roots, added.roots, 'run twice, the step changes nothing')
    const second = await issue(dir)
    await talk(t, first, second, 'before and after the root was added')

    const used = await useRoot(dir)
    t.not(used.issuerPem, before.issuerPem)
    t.same(used.roots, added.roots, 'both are trusted')
    t.notOk(existsSync(join(dir, 'next')))
    const rootKey = createPrivateKey(readFileSync(join(dir, 'root-key.pem')))
    t.ok(new X509Certificate(added.roots[1] ?? '').checkPrivateKey(rootKey), "root-key.pem is the new root's")
    const third = await issue(dir)
    await talk(t, second, third, 'before and after the new CA began to sign')

    const dropped = await dropRoots(dir)
    t.same(dropped.roots, [added.roots[1]], 'the old root is gone')
    const fourth = await issue(dir)
    await talk(t, third, fourth, 'before and after the old root was dropped')
    t.match(await handshake(first, fourth, [formatSpiffeId(A)]), {
      clientError: /unable to get local issuer/,
    })
    t.same((await dropRoots(dir)).roots, dropped.roots, 'run twice, the step changes nothing')
    await rotateIntermediate(dir)
    t.same(readdirSync(dir).sort(), FILES)
  },
)

t.test('steps out of order are refused and change nothing', async (t) => {
  const dir = t.testdir()
  await loadOrCreateCa(dir)
  await t.rejects(useRoot(dir), { code: 'CA_FILES_INVALID', message: /no .*next: .*rotate add-root/ })
  await loadOrCreateCa(join(dir, 'next'))
  await t.rejects(useRoot(dir), { message: /no peer trusts it yet: run "ztunnel certs rotate add-root/ })
  await t.rejects(dropRoots(dir), { message: /does not sign yet: run "ztunnel certs rotate use-root/ })
  t.equal((await loadCa(dir)).roots.length, 1)
})

t.test("a CA of one's own can be the next, without its root's key", async (t) => {
  const dir = t.testdir()
  await loadOrCreateCa(dir)
  const own = await loadOrCreateCa(join(dir, 'next'))
  rmSync(join(dir, 'next', 'root-key.pem'))
  await addRoot(dir)
  t.equal((await useRoot(dir)).issuerPem, own.issuerPem)
  t.notOk(existsSync(join(dir, 'root-key.pem')), "the old root's key is not left as if it were the new one's")
  await t.rejects(rotateIntermediate(dir), {
    message: /there is no .*root-key.pem: a new intermediate is signed/,
  })
})

t.test('a set that a crash left mixed is repaired by running the command again', async (t) => {
  const dir = t.testdir()
  await loadOrCreateCa(dir)
  writeFileSync(join(dir, 'ca-key.pem'), (await createCa()).caKeyPem)
  writeFileSync(join(dir, '.ca-cert.pem.new'), 'half')
  await t.rejects(loadCa(dir), { message: /not the key/ })
  await rotateIntermediate(dir)
  t.same(readdirSync(dir).sort(), FILES)
})

t.test("another root's key signs no intermediate", async (t) => {
  const dir = t.testdir()
  const { issuerPem } = await loadOrCreateCa(dir)
  writeFileSync(join(dir, 'root-key.pem'), (await createCa()).rootKeyPem)
  await t.rejects(rotateIntermediate(dir), { message: /root-key.pem is the key of no certificate in/ })
  t.equal((await loadCa(dir)).issuerPem, issuerPem)
})
