import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import t from 'tap'
import { TestProxy, testFolder } from '../agent/test-support.ts'
import { redirectionInPlace } from '../linux/index.ts'
import { addNamespace, ip } from '../linux/test-support.ts'

const COMMAND = new URL('./agent.ts', import.meta.url).href
const MAIN = `const { agentCommand } = await import(${JSON.stringify(COMMAND)})
await agentCommand().parseAsync(process.argv.slice(1), { from: 'user' })`

/** Runs the command in a process of its own until it is ready. */
async function run(args: readonly string[], env: Record<string, string>) {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', MAIN, '--', ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines: string[] = []
  for await (const line of createInterface(child.stdout)) {
    lines.push(line)
    if (line.includes('agent ready')) break
  }
  child.stdout.resume()
  return { child, lines }
}

t.test('is ready, serves ZDS, and leaves the rules at SIGTERM unless told otherwise', async (t) => {
  addNamespace('ns.cli').close()
  t.teardown(() => ip('netns', 'del', 'ns.cli'))
  const folder = testFolder()
  folder.pod('cli')
  const env = { NODE_NAME: 'node-a', INPOD_UDS: folder.zdsSocket }

  for (const cleanup of [false, true]) {
    const args = ['--config', folder.directory, ...(cleanup ? ['--cleanup'] : [])]
    const { child, lines } = await run(args, env)
    t.match(lines.at(-1), /agent ready/)
    t.equal(await redirectionInPlace('/run/netns/ns.cli'), true)
    const proxy = await TestProxy.connect(folder.zdsSocket)
    await proxy.until(() => proxy.log.includes('snapshot-sent'))
    child.kill('SIGTERM')
    const [status] = await once(child, 'exit')
    t.equal(status, 0)
    await proxy.ended
    t.equal(await redirectionInPlace('/run/netns/ns.cli'), !cleanup)
    t.equal(existsSync(folder.zdsSocket), false)
  }
})
