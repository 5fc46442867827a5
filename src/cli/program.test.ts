import t from 'tap'
import { COMMANDS, createProgram } from './program.ts'

t.test('each command is found under its name, and loaded alone', async (t) => {
  for (const name of COMMANDS.keys()) {
    const { commands } = await createProgram(['node', 'ztunnel', name])
    t.same(
      commands.map((command) => command.name()),
      [name],
    )
  }
})

t.test('help, and a name that is none, know all commands', async (t) => {
  for (const argv of [[], ['--help'], ['help', 'proxy'], ['prox']]) {
    const { commands } = await createProgram(['node', 'ztunnel', ...argv])
    t.same(
      commands.map((command) => command.name()),
      [...COMMANDS.keys()],
      argv.join(' '),
    )
  }
})
