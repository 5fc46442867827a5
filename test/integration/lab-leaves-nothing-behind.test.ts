import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import t from 'tap'
import { ztunnelProgram } from '../../src/lab/app.ts'
import { type ProcessIdentity, processTree, survivors } from '../support/processes.ts'
import { until } from '../support/until.ts'

/** However the lab is ended, and by whomever. */
const ENDINGS: readonly {
  readonly name: string
  end(lab: ChildProcess, tree: readonly ProcessIdentity[]): void
}[] = [
  { name: 'Ctrl-C', end: (lab) => void lab.kill('SIGINT') },
  { name: 'a crash of the outer process', end: (lab) => void lab.kill('SIGKILL') },
  {
    name: 'a crash of the inner process',
    // The outer process, unshare, and then the inner one.
    end: (_lab, tree) => void process.kill(tree[2]?.pid ?? 0, 'SIGKILL'),
  },
]

for (const { name, end } of ENDINGS) {
  t.test(`${name} leaves nothing behind`, async (t) => {
    const before = namespaces()
    // Without the test runner's loaders: every process of the lab would load them too.
    const command = ['-u', 'NODE_OPTIONS', process.execPath, ztunnelProgram(), 'lab']
    const lab = spawn('env', command, { stdio: ['ignore', 'pipe', 'inherit'] })
    t.teardown(() => lab.kill('SIGKILL'))
    const folder = await untilUp(lab)
    const tree = processTree(lab.pid ?? 0)
    t.ok(tree.length > 15, `a whole mesh is running: ${tree.length} processes`)
    t.ok(existsSync(folder), folder)
    end(lab, tree)
    await until(() => survivors(tree).length === 0, 'every process has ended')
    await until(() => !existsSync(folder), `${folder} is gone`)
    t.same(namespaces(), before, 'no network namespace and no rule in the one that we share')
  })
}

/** Resolves with the lab's folder. */
async function untilUp(lab: ChildProcess): Promise<string> {
  if (lab.stdout === null) throw new Error('no output')
  let folder = ''
  for await (const line of createInterface({ input: lab.stdout })) {
    folder = /(\/\S+)\/logs\//.exec(line)?.[1] ?? folder
    if (line.startsWith('The mesh is up')) break
  }
  lab.stdout.resume()
  return folder
}

function namespaces(): { readonly names: string; readonly rules: string } {
  const run = (command: string, argv: readonly string[]): string =>
    spawnSync(command, argv, { encoding: 'utf8' }).stdout
  return { names: run('ip', ['netns', 'list']), rules: run('iptables', ['-t', 'nat', '-S']) }
}
