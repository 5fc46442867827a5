import t from 'tap'
import { configServerCommand } from './config-server.ts'

t.test('a lifetime of certificates that could never work is refused before anything starts', async (t) => {
  for (const ttl of ['0s', '4s', '91d', '99999999d', '-1h', '5', 'NaNs']) {
    const command = configServerCommand()
      .exitOverride()
      .configureOutput({ writeErr: () => {} })
    const args = ['--config', 'x', '--certs', 'x', `--svid-ttl=${ttl}`]
    await t.rejects(command.parseAsync(args, { from: 'user' }), { code: 'commander.invalidArgument' }, ttl)
  }
})

t.test('--config may be given several times', async (t) => {
  const command = configServerCommand()
  command.parseOptions(['--config', 'apps', '--certs', 'certs', '--config=policies'])
  t.strictSame(command.opts()['config'], ['apps', 'policies'])
})
