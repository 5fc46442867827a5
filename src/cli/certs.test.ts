import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { TokenIssuer } from '../identity/index.ts'

const run = promisify(execFile)
const MODULE = new URL('./certs.ts', import.meta.url).href
const SCRIPT = `const { certsCommand } = await import('${MODULE}');
await certsCommand().parseAsync(process.argv.slice(1), { from: 'user' })
  .catch((error) => { process.stderr.write(error.message); process.exitCode = 1 })`

async function certs(...args: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', SCRIPT, '--', ...args])
  return stdout
}

t.test('init makes a CA, then checks it; token is one the config server accepts', async (t) => {
  const dir = join(t.testdir(), 'certs')
  t.match(
    await certs('init', '--dir', dir),
    /made a new CA in .*\n {2}signs .*CN=Intermediate CA.*\n {2}root .*CN=Root CA/,
  )
  t.match(await certs('init', '--dir', dir), /is usable/)
  t.ok(readdirSync(dir).includes('token-key.pem'))
  const issuer = await TokenIssuer.loadOrCreate(join(dir, 'token-key.pem'))
  const node = await certs('token', '--dir', dir, '--node', 'n1', '--ttl', '30m')
  t.match(await issuer.verify(node.trim()), { kind: 'node', node: 'n1' })
  const workload = await certs('token', '--dir', dir, '--workload', 'ns/sa')
  t.match(await issuer.verify(workload.trim()), {
    kind: 'workload',
    id: { namespace: 'ns', serviceAccount: 'sa' },
  })
})

t.test('wrong arguments are explained', async (t) => {
  const dir = t.testdir()
  const refused = async (message: RegExp, ...args: string[]): Promise<void> => {
    await t.rejects(certs('token', '--dir', dir, ...args), message)
  }
  await refused(/give either --node NAME or --workload/)
  await refused(/give either/, '--node', 'n', '--workload', 'a/b')
  await refused(/NAMESPACE\/ACCOUNT/, '--workload', 'a')
  await refused(/90s, 30m, 12h, 7d/, '--node', 'n', '--ttl', '5')
})

t.test('a token is not signed with a key that no config server has', async (t) => {
  const dir = join(t.testdir(), 'typo')
  await t.rejects(certs('token', '--dir', dir, '--node', 'n'), /no .*token-key.pem: --dir must be the folder/)
  t.notOk(existsSync(dir))
})
