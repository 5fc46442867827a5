import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createSecureContext } from 'node:tls'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { startConfigServer } from '../config-server/index.ts'
import { loadOrCreateCa, rotateIntermediate } from '../identity/index.ts'

const run = promisify(execFile)
const MODULE = new URL('./certs-issue.ts', import.meta.url).href
const SCRIPT = `const { issueCommand } = await import('${MODULE}');
await issueCommand().parseAsync(process.argv.slice(1), { from: 'user' })
  .catch((error) => { process.stderr.write(error.message); process.exitCode = 1 })`
const ID = 'spiffe://cluster.local/ns/foo/sa/bar'

function argv(args: readonly string[]): string[] {
  return ['--input-type=module', '-e', SCRIPT, '--', ...args]
}

async function issue(...args: string[]): Promise<string> {
  return (await run(process.execPath, argv(args))).stdout
}

async function folders(t: Test): Promise<{ certs: string; out: string; root: string }> {
  const root = t.testdir()
  const certs = join(root, 'certs')
  await loadOrCreateCa(certs)
  return { certs, out: join(root, 'out'), root }
}

t.test('a certificate from the CA in a folder, and a key store with the given password', async (t) => {
  const { certs, out, root } = await folders(t)
  t.match(await issue(ID, '--certs', certs, '--dir', out), /^spiffe:.*\/bar in .*out, until 20.*Z\n$/)
  t.notOk(existsSync(join(out, 'keystore.p12')))
  const password = join(root, 'password')
  writeFileSync(password, 'open sesame\n')
  await issue(ID, '--certs', certs, '--dir', out, '--p12', '--p12-password-file', password)
  const pfx = readFileSync(join(out, 'keystore.p12'))
  createSecureContext({ pfx, passphrase: 'open sesame' })
  t.throws(() => createSecureContext({ pfx, passphrase: 'changeit' }))
  await issue(ID, '--certs', certs, '--dir', out, '--p12')
  createSecureContext({ pfx: readFileSync(join(out, 'keystore.p12')), passphrase: 'changeit' })
})

t.test('wrong arguments are explained', async (t) => {
  const { certs, out } = await folders(t)
  const refused = async (message: RegExp, ...args: string[]): Promise<void> => {
    await t.rejects(issue('--dir', out, ...args), message)
    t.notOk(existsSync(out))
  }
  await refused(/it must be spiffe:\/\//, 'foo/bar')
  await refused(/from 5s to 90d/, ID, '--certs', certs, '--ttl', '4s')
  await refused(/--token go with --ca-address/, ID, '--certs', certs, '--token', 'x')
  await refused(/needs --ca-root FILE .* and --token FILE/, ID, '--ca-address', 'https://127.0.0.1:1')
  await refused(/goes with --p12/, ID, '--certs', certs, '--p12-password-file', 'x')
  const password = join(certs, '..', 'password')
  writeFileSync(password, 'sésame')
  await refused(/ASCII/, ID, '--certs', certs, '--p12', '--p12-password-file', password)
  await refused(/missing CA file/, ID, '--certs', `${certs}-typo`)
})

t.test('a certificate from a config server, by a token', async (t) => {
  const { certs, out, root } = await folders(t)
  const configDir = join(root, 'mesh')
  mkdirSync(configDir)
  const server = await startConfigServer({
    configDir,
    certsDir: certs,
    listen: { host: '127.0.0.1', port: 0 },
  })
  t.teardown(() => server.close())
  const token = join(root, 'token')
  const workload = { namespace: 'foo', serviceAccount: 'bar', ttlSeconds: 60 }
  writeFileSync(token, await server.issuer.issueWorkloadToken(workload))
  const address = `https://127.0.0.1:${server.address.port}`
  const online = ['--ca-address', address, '--ca-root', join(certs, 'root-cert.pem'), '--token', token]
  await issue(ID, ...online, '--dir', out)
  const leaf = new X509Certificate(readFileSync(join(out, 'cert-chain.pem')))
  t.equal(leaf.subjectAltName, `URI:${ID}`)
  await t.rejects(
    issue('spiffe://cluster.local/ns/foo/sa/other', ...online, '--dir', join(root, 'other')),
    /a workload gets its own identity only/,
  )
})

/** A running `--watch`; its lines of output, as they come. */
function watching(t: Test, args: readonly string[]): { child: ChildProcess; lines: AsyncIterator<string> } {
  const child = spawn(process.execPath, argv([...args, '--watch']), { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => void child.kill('SIGKILL'))
  if (child.stdout === null) throw new Error('no output')
  return { child, lines: createInterface(child.stdout)[Symbol.asyncIterator]() }
}

t.test('--watch renews at half life with the CA of then, and ends with SIGTERM', async (t) => {
  const { certs, out } = await folders(t)
  const { child, lines } = watching(t, [ID, '--certs', certs, '--dir', out, '--ttl', '5s'])
  await lines.next()
  const first = readFileSync(join(out, 'cert-chain.pem'), 'utf8')
  const { issuerPem } = await rotateIntermediate(certs)
  let latest = first
  // On a slow machine a renewal may come before the rotation is complete.
  for (let renewals = 0; renewals < 5 && !latest.endsWith(issuerPem); renewals++) {
    await lines.next()
    latest = readFileSync(join(out, 'cert-chain.pem'), 'utf8')
    t.not(latest, first)
  }
  t.ok(latest.endsWith(issuerPem))
  const exit = once(child, 'exit')
  child.kill('SIGTERM')
  t.same(await exit, [0, null])
})
