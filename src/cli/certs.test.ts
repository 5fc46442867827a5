import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'

const run = promisify(execFile)
const MODULE = new URL('./certs.ts', import.meta.url).href
const SCRIPT = `const { certsCommand } = await import('${MODULE}');
await certsCommand().parseAsync(process.argv.slice(1), { from: 'user' })
  .catch((error) => { process.stderr.write(error.message); process.exitCode = 1 })`

async function certs(...args: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', SCRIPT, '--', ...args])
  return stdout
}

t.test('init makes a CA and the key of tokens, then checks it', async (t) => {
  const dir = join(t.testdir(), 'certs')
  t.match(
    await certs('init', '--dir', dir),
    /made a new CA in .*\n {2}signs .*CN=Intermediate CA.*\n {2}root .*CN=Root CA/,
  )
  t.match(await certs('init', '--dir', dir), /is usable/)
  t.ok(readdirSync(dir).includes('token-key.pem'))
})

t.test('rotate says what it did, and what comes next', async (t) => {
  const dir = join(t.testdir(), 'certs')
  await certs('init', '--dir', dir)
  t.match(await certs('rotate', 'intermediate', '--dir', dir), /a new intermediate signs in .*\n {2}signs/)
  t.match(
    await certs('rotate', 'add-root', '--dir', dir),
    /\n {2}root .*\n {2}root .*\nNext, .*rotate use-root\n/,
  )
  t.match(await certs('rotate', 'use-root', '--dir', dir), /the new CA signs (.|\n)*rotate drop-root\n/)
  const last = await certs('rotate', 'drop-root', '--dir', dir)
  t.equal(last.match(/^ {2}root /gm)?.length, 1)
  t.match(last, /complete/)
  await t.rejects(certs('rotate', 'use-root', '--dir', dir), /there is no .*next/)
})
