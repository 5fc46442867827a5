import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { TokenIssuer } from '../identity/index.ts'

const run = promisify(execFile)
const MODULE = new URL('./token.ts', import.meta.url).href
const SCRIPT = `const { tokenCommand } = await import('${MODULE}');
await tokenCommand().parseAsync(process.argv.slice(1), { from: 'user' })
  .catch((error) => { process.stderr.write(error.message); process.exitCode = 1 })`

async function create(...args: string[]): Promise<string> {
  const argv = ['--input-type=module', '-e', SCRIPT, '--', 'create', ...args]
  const { stdout } = await run(process.execPath, argv)
  return stdout.trim()
}

t.test('a token is one that the config server accepts, for a node or a workload', async (t) => {
  const certs = t.testdir()
  const issuer = await TokenIssuer.loadOrCreate(join(certs, 'token-key.pem'))
  const node = await create('--certs', certs, '--node', 'n1', '--ttl', '30m')
  const caller = await issuer.verify(node)
  t.match(caller, { kind: 'node', node: 'n1' })
  t.ok(Math.abs((caller.expiresAt ?? 0) - Date.now() - 30 * 60_000) < 60_000)
  const placed = await create('--certs', certs, '--workload', 'ns/sa', '--node', 'n1')
  t.match(await issuer.verify(placed), {
    kind: 'workload',
    node: 'n1',
    id: { namespace: 'ns', serviceAccount: 'sa' },
  })
})

t.test('wrong arguments are explained', async (t) => {
  const certs = t.testdir()
  const refused = async (message: RegExp, ...args: string[]): Promise<void> => {
    await t.rejects(create('--certs', certs, ...args), message)
  }
  await refused(/give --node NAME/)
  await refused(/NAMESPACE\/ACCOUNT/, '--workload', 'a')
  await refused(/90s, 30m, 12h, 7d/, '--node', 'n', '--ttl', '5')
})

t.test('a token is not signed with a key that no config server has', async (t) => {
  const certs = join(t.testdir(), 'typo')
  await t.rejects(create('--certs', certs, '--node', 'n'), /no .*token-key.pem: --certs must be the folder/)
  t.notOk(existsSync(certs))
})
