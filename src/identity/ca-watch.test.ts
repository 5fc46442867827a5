import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createCa } from './ca-create.ts'
import { loadCa, loadOrCreateCa } from './ca-files.ts'
import { addRoot, rotateIntermediate } from './ca-rotate.ts'
import { watchCa } from './ca-watch.ts'
import { CertificateAuthority } from './certificate-authority.ts'
import { silentLog } from './log.ts'
import { workloadId } from './test-support.ts'

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 15_000
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`still waiting for: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

async function watched(t: Test, dir: string) {
  const ca = new CertificateAuthority(await loadCa(dir))
  const errors: string[] = []
  const log = {
    ...silentLog,
    error: (fields: object & { err?: Error }) => void errors.push(String(fields.err?.message)),
  }
  const watch = watchCa(dir, ca, { intervalMs: 10, log })
  t.teardown(() => watch.close())
  return { ca, watch, errors }
}

t.test('what is changed on disk signs from then on', async (t) => {
  const dir = t.testdir()
  await loadOrCreateCa(dir)
  const { ca, watch } = await watched(t, dir)
  let replaced = 0
  ca.onReplace(() => replaced++)
  const { issuerPem } = await rotateIntermediate(dir)
  await until('the intermediate', () => ca.material.issuerPem === issuerPem)
  const { rootsPem } = await addRoot(dir)
  await until('the root', () => ca.material.rootsPem === rootsPem)
  t.same((await ca.issueSvid(workloadId('a'), 60)).roots.join(''), rootsPem)
  t.equal(replaced, 2)
  t.equal(watch.problem, undefined)
})

t.test('files that make no CA leave the last good one in force, and are reported once', async (t) => {
  const dir = t.testdir()
  const { issuerPem } = await loadOrCreateCa(dir)
  const { ca, watch, errors } = await watched(t, dir)
  const key = readFileSync(join(dir, 'ca-key.pem'))
  writeFileSync(join(dir, 'ca-key.pem'), (await createCa()).caKeyPem)
  await until('the problem', () => watch.problem !== undefined)
  t.match(watch.problem, /ca-key.pem: is not the key of ca-cert.pem/)
  t.equal(ca.material.issuerPem, issuerPem)
  await ca.issueSvid(workloadId('a'), 60)
  rmSync(join(dir, 'ca-key.pem'))
  await until('another problem', () => /missing CA file/.test(watch.problem ?? ''))
  t.match(errors[0], /is not the key/)
  t.equal(new Set(errors).size, errors.length, 'each once')
  writeFileSync(join(dir, 'ca-key.pem'), key, { mode: 0o600 })
  await until('no problem', () => watch.problem === undefined)
  t.equal(ca.material.issuerPem, issuerPem)
})

t.test('a folder of links that are swapped, as Kubernetes mounts a secret', async (t) => {
  const root = t.testdir()
  const dir = join(root, 'certs')
  mkdirSync(dir)
  const first = await loadOrCreateCa(join(dir, '..one'))
  const second = await loadOrCreateCa(join(dir, '..two'))
  symlinkSync('..one', join(dir, '..data'))
  for (const name of ['ca-cert.pem', 'ca-key.pem', 'cert-chain.pem', 'root-cert.pem'])
    symlinkSync(join('..data', name), join(dir, name))
  const { ca } = await watched(t, dir)
  t.equal(ca.material.issuerPem, first.issuerPem)
  symlinkSync('..two', join(dir, '..data_tmp'))
  renameSync(join(dir, '..data_tmp'), join(dir, '..data'))
  await until('the swap', () => ca.material.issuerPem === second.issuerPem)
})

t.test('until when certificates of before a change may be in use', async (t) => {
  const dir = t.testdir()
  let now = Date.now()
  const ca = new CertificateAuthority(await loadOrCreateCa(dir), { now: () => now })
  const { notAfter } = await ca.issueSvid(workloadId('a'), 600)
  await ca.issueSvid(workloadId('a'), 60)
  t.equal(ca.olderCertificatesUntil, undefined, 'all are of the CA in force')
  ca.replace(await rotateIntermediate(dir))
  await ca.issueSvid(workloadId('a'), 6_000)
  const until = ca.olderCertificatesUntil ?? 0
  t.equal(Math.floor(until / 1000), Math.floor(notAfter.getTime() / 1000))
  now = until
  t.equal(ca.olderCertificatesUntil, undefined, 'the last has ended')
})
